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

  item(
    'receive-poison',
    'receive hands out nothing that came back unsettled too often: it is dead-lettered',
    async (t) => {
      const config = t.shortLease(300)
      const name = t.name()
      const queue = await t.connect(config)
      await queue.createQueue({ name, maxRedeliveries: 1 })
      const id = await queue.send(name, 'x')
      const dead = queue.deadLetters(name)
      let taken = 0
      for (let i = 0; i < 8 && (await dead.count()) === 0; i++) {
        const link = t.faulty()
        const dying = await t.connect(config, link.adapter)
        await dying.createQueue({ name, maxRedeliveries: 1 })
        const before = taken
        await t.until(async () => {
          if ((await dying.receive(name, { timeoutMs: 100 })) !== null) taken++
          return taken > before || (await dead.count()) > 0
        }, 'a delivery, or the end')
        await link.crash()
      }
      assert.equal((await dead.get(id))?.deadLetter?.reason, 'delivery-limit')
      if (t.capabilities.redeliveries === 'count') assert.ok(taken <= 2, `${taken} took it`)
      else t.refused('redeliveries')
    },
    { slowness: 3 },
  )

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
