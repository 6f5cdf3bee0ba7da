import assert from 'node:assert/strict'
import { Message } from '@mq/core'

import { drain, eachOnce, rejects, take } from '../helpers.ts'
import { group } from '../item.ts'

export const sentMessage = group('publish', (item) => {
  item('round-trip', 'every field of a message comes back equal', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const sent = new Message({
      id: '6f1c0a52-8b1e-4c9f-9a70-3f2b8f0d1a11',
      body: { reading: 1.5 },
      headers: { tenant: 'a', 'x-trace': 'b c' },
      timestamp: new Date(1_700_000_000_123),
      queueName: name,
      routingKey: 'orders.created',
      correlationId: 'correlation-1',
      contentType: 'application/json',
      key: 'key-1',
      deduplicationId: 'dedupe-1',
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
    })
    assert.equal(await queue.send(sent), sent.id)
    const got = await take(t, queue, name)
    for (const field of [
      'id',
      'queueName',
      'routingKey',
      'correlationId',
      'contentType',
      'key',
      'deduplicationId',
    ] as const) {
      assert.equal(got[field], sent[field], field)
    }
    for (const field of ['priority', 'traceId', 'spanId', 'deliveryCount', 'contentEncoding'] as const) {
      assert.equal(got[field], sent[field], field)
    }
    assert.equal(got.timestamp.getTime(), sent.timestamp.getTime(), 'timestamp')
    await queue.acknowledge(got)
  })

  item('ids', 'ids of the user’s own survive, up to 255 bytes', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const ids = ['1', 'order/../17 "x"', 'ü'.repeat(127), 'x'.repeat(255)]
    for (const id of ids) assert.equal(await queue.send({ id, body: 1, queueName: name }), id)
    const got = await drain(queue, name)
    eachOnce(
      got.map(({ id }) => id),
      ids,
      'ids',
    )
    for (const id of ['', 'x'.repeat(256)])
      await rejects(queue.send({ id, body: 1, queueName: name }), 'MQ_VALIDATION')
  })

  item('headers', 'headers come back as they were sent, no more and no less', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    for (const headers of [{ a: '1', B: '2' }, {}]) {
      await queue.send(name, 'x', { headers })
      const message = await take(t, queue, name)
      assert.deepEqual({ ...message.headers }, headers)
      await queue.acknowledge(message)
    }
  })

  item('reply-to', 'a reply address comes back', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await queue.send(name, 'x', { replyTo: 'somewhere' })
    assert.equal((await take(t, queue, name)).replyTo, 'somewhere')
  })
})
