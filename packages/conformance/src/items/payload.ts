import assert from 'node:assert/strict'
import { defineQueue } from '@mq/core'
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { TestContext } from '../context.ts'
import { outbound } from '../fixtures.ts'
import { collect, drain, rejects, take } from '../helpers.ts'
import { group } from '../item.ts'
import { edgeHeaders } from '../samples.ts'

/** Sends one body and answers what arrives. */
async function echo(t: TestContext, body: unknown, fields: object = {}) {
  const queue = await t.connect()
  const name = t.name()
  await queue.send(name, body, fields)
  const message = await take(t, queue, name)
  await queue.acknowledge(message)
  return message
}

/** A small validator in the Standard Schema form: numbers alone. */
const numberSchema = {
  '~standard': {
    version: 1 as const,
    vendor: 'conformance',
    validate: (value: unknown) =>
      typeof value === 'number' ? { value } : { issues: [{ message: 'must be a number' }] },
  },
}

export const payload = group('payload', (item) => {
  item('bytes', 'every byte value survives', async (t) => {
    const bytes = Uint8Array.from({ length: 1024 }, (_, i) => i % 256)
    const { body, contentType } = await echo(t, bytes)
    assert.equal(contentType, 'application/octet-stream')
    assert.deepEqual([...(body as Uint8Array)], [...bytes])
  })

  item('empty', 'empty bytes and an empty text stay empty', async (t) => {
    const bytes = await echo(t, new Uint8Array(0))
    assert.equal((bytes.body as Uint8Array).length, 0)
    assert.equal(bytes.contentType, 'application/octet-stream')
    assert.equal((await echo(t, '')).body, '')
  })

  item('unicode', 'text of every plane survives', async (t) => {
    const text = 'ASCII ÄÖÜ ñ Ω 漢字 עברית \u0000 \u200d \ufeff 👩‍👩‍👧 \u{1F680} \r\n\t"\\'
    assert.equal((await echo(t, text)).body, text)
  })

  item('json', 'every JSON value survives, also as its own kind', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const values = [
      null,
      true,
      false,
      0,
      -1.5,
      1e21,
      [],
      {},
      [1, ['a', null]],
      { a: { b: [{ c: 'ü' }] }, __proto__x: 1 },
    ]
    await queue.sendBatch(values.map((body) => ({ body, queueName: name })))
    // Without `ordered` no broker promises an order.
    const place = (value: unknown): number =>
      values.findIndex((each) => JSON.stringify(each) === JSON.stringify(value))
    const bodies = (await drain(queue, name)).map(({ body }) => body)
    assert.deepEqual(
      bodies.sort((a, b) => place(a) - place(b)),
      values,
    )
  })

  item('unserializable', 'a body that JSON cannot hold rejects, and nothing is sent', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const circular: { self?: unknown } = {}
    circular.self = circular
    for (const body of [circular, 1n, () => 1, Number.NaN]) {
      const error = await rejects(queue.send(name, body), 'MQ_SERIALIZATION')
      assert.equal(error.certainty, 'not-stored')
    }
    assert.deepEqual(await drain(queue, name), [])
  })

  item('large', 'a body of 1 MiB − 16 KiB survives', async (t) => {
    const bytes = randomBytes(1024 * 1024 - 16 * 1024)
    const { body } = await echo(t, bytes)
    assert.ok(Buffer.compare(Buffer.from(body as Uint8Array), bytes) === 0, 'the bytes differ')
  })

  item('above-limit', 'one byte above the limit rejects; the queue goes on', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    await rejects(queue.send(name, randomBytes(1024 * 1024 - 16 * 1024 + 1)), 'MQ_MESSAGE_TOO_LARGE')
    await queue.send(name, 'small')
    const bodies = (await drain(queue, name)).map(({ body }) => body)
    assert.deepEqual(bodies, ['small'])
  })

  item('header-edges', 'header names and values of every kind survive', async (t) => {
    assert.deepEqual({ ...(await echo(t, 'x', { headers: edgeHeaders })).headers }, edgeHeaders)
  })

  item('header-many', 'a hundred headers survive', async (t) => {
    const headers = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`header-${i}`, String(i)]))
    assert.deepEqual({ ...(await echo(t, 'x', { headers })).headers }, headers)
  })

  item('header-refused', 'a header that is no string, or whose name is reserved, rejects', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    for (const value of [1, null, true, {}, undefined]) {
      const error = await rejects(queue.send(name, 'x', { headers: { a: value } as never }), 'MQ_VALIDATION')
      assert.equal(error.certainty, 'not-stored')
    }
    for (const reserved of ['mq-id', 'Content-Type', 'x-death', '']) {
      await rejects(queue.send(name, 'x', { headers: { [reserved]: 'x' } }), 'MQ_VALIDATION')
    }
    assert.deepEqual(await drain(queue, name), [])
  })

  item('content-types', 'each content type comes back with its kind of body', async (t) => {
    const custom = await echo(t, '<a/>', { contentType: 'text/xml' })
    assert.deepEqual([custom.body, custom.contentType], ['<a/>', 'text/xml'])
    const vendor = await echo(t, { a: 1 }, { contentType: 'application/vnd.acme+json' })
    assert.deepEqual([vendor.body, vendor.contentType], [{ a: 1 }, 'application/vnd.acme+json'])
    const image = await echo(t, new Uint8Array([137, 80]), { contentType: 'image/png' })
    assert.deepEqual([[...(image.body as Uint8Array)], image.contentType], [[137, 80], 'image/png'])
    const json = await echo(t, 'text as JSON', { contentType: 'application/json' })
    assert.deepEqual([json.body, json.contentType], ['text as JSON', 'application/json'])
  })

  item('compression', 'gzip and brotli bodies are smaller on their way, and come back whole', async (t) => {
    const text = 'all work and no play '.repeat(2000)
    const link = t.faulty()
    const queue = await t.connect({}, link.adapter)
    const name = t.name()
    for (const contentEncoding of ['gzip', 'br']) {
      await queue.send(name, text, { contentEncoding })
      const call = link.calls.findLast(({ operation }) => operation === 'publish')
      const [onItsWay] = call?.args[0] as [{ body: Uint8Array }]
      assert.ok(onItsWay.body.length < text.length / 10, 'compressed')
      const message = await take(t, queue, name)
      assert.equal(message.body, text)
      assert.equal(message.contentEncoding, contentEncoding)
      await queue.acknowledge(message)
    }
  })

  item('schema-send', 'a body that its schema refuses rejects on send', async (t) => {
    const queue = await t.connect()
    const readings = defineQueue(t.name(), { schema: numberSchema })
    await rejects(queue.send(readings, 'not a number' as never), 'MQ_VALIDATION')
    await queue.send(readings, 1)
    const bodies = (await drain(queue, readings)).map(({ body }) => body)
    assert.deepEqual(bodies, [1])
  })

  item(
    'schema-arrival',
    'a body that its schema refuses on arrival is dead-lettered without a run',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      const id = await queue.send(name, 'not a number')
      await queue.send(name, 1)
      const inbox = await collect(t, queue, defineQueue(name, { schema: numberSchema }))
      await inbox.count(1)
      const dead = await take(t, queue, `${name}.dlq`)
      assert.deepEqual([dead.id, dead.deadLetter?.reason, dead.deadLetter?.attempts], [id, 'invalid', 0])
      assert.deepEqual(inbox.bodies(), [1])
    },
  )

  item(
    'undecodable',
    'bytes that cannot be decoded are dead-lettered, and the consumer continues',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await queue.createQueue({ name })
      const adapter = await t.connected()
      const broken = [
        { body: Buffer.from('{"half'), contentType: 'application/json' },
        { body: Buffer.from([0xff, 0xfe, 0x80]), contentType: 'text/plain' },
        { body: gzipSync('cut off').subarray(0, 12), contentType: 'text/plain', contentEncoding: 'gzip' },
        { body: Buffer.from('?'), contentType: 'text/plain', contentEncoding: 'made-up' },
      ].map((fields) => outbound({ queue: name }, fields))
      const outcomes = await adapter.publish(broken, t.deadline())
      assert.ok(
        outcomes.every(({ ok }) => ok),
        'not accepted',
      )
      await queue.send(name, 'fine')
      const inbox = await collect(t, queue, name)
      await inbox.count(1)
      assert.deepEqual(inbox.bodies(), ['fine'])
      await t.until(
        async () => (await queue.deadLetters(name).count()) >= broken.length,
        'all of them dead-lettered',
      )
      const { messages } = await queue.deadLetters(name).list()
      const reasons = new Map(messages.map(({ id, deadLetter }) => [id, deadLetter?.reason]))
      assert.deepEqual(
        broken.map(({ id }) => reasons.get(id)),
        broken.map(() => 'undecodable'),
      )
    },
  )
})
