import assert from 'node:assert/strict'
import type { MessageQueue } from '@mq/core'
import { eachOnce, later, nothing, numbers, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

export const receive = group('consume', (item) => {
  item(
    'receive-timeout',
    'receive answers null no earlier than its timeout, and a message as soon as it comes',
    async (t) => {
      const [queue, other] = [await t.connect(), await t.connect()]
      const name = t.name()
      await queue.createQueue({ name })
      const startedAt = t.now()
      assert.equal(await queue.receive(name, { timeoutMs: 150 }), null)
      assert.ok(t.now() - startedAt >= 148, 'no earlier than its timeout')
      const waiting = later(queue.receive(name, { timeoutMs: t.patienceMs * 4 }))
      await t.quiet(20)
      const id = await other.send(name, 'x')
      assert.equal((await waiting)?.id, id)
    },
  )

  item(
    'receive-look',
    'receive without a timeout finds what is ready, and answers null when nothing is',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      await queue.createQueue({ name })
      await nothing(queue, name)
      const id = await queue.send(name, 'x')
      assert.equal((await queue.receive(name))?.id, id)
      await nothing(queue, name)
    },
  )

  item('receive-one', 'receive leases nothing beyond what it returns', async (t) => {
    const [queue, other] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(other, name, 3)
    const first = await take(t, queue, name)
    const rest = [await take(t, other, name), await take(t, other, name)]
    eachOnce(
      [first, ...rest].map(({ body }) => body),
      numbers(3),
    )
  })

  item('receive-concurrent', 'concurrent receives never get the same delivery', async (t) => {
    const queues: MessageQueue[] = [await t.connect(), await t.connect()]
    const name = t.name()
    await sendNumbers(queues[0] as MessageQueue, name, 20)
    const got = await Promise.all(numbers(20).map((i) => take(t, queues[i % 2] as MessageQueue, name)))
    eachOnce(
      got.map(({ body }) => body),
      numbers(20),
    )
  })
})
