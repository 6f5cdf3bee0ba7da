import assert from 'node:assert/strict'
import type { Delivery, OutboundMessage, QueueSettings, Receiver, Source, Target } from '@mq/core/adapter'
import { declare, failure, outbound, plainSettings, source } from '../fixtures.ts'
import { drain, eachOnce, numbers, receiveAll, rejects, sendNumbers, take } from '../helpers.ts'
import { group } from '../item.ts'

/** Most that a queue takes, and what becomes of what is above that. */
export const limits = group('extras', (item) => {
  item('max-length', 'maxLength refuses what is too much, and says so', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    if (t.capabilities.limits === 'none') {
      const error = await rejects(queue.createQueue({ name, maxLength: 3 }), 'MQ_UNSUPPORTED')
      assert.match(error.message, /maxLength/)
      return t.refused('limits')
    }
    await queue.createQueue({ name, maxLength: 3, overflow: 'reject' })
    const results = []
    for (const i of numbers(10)) results.push(await Promise.allSettled([queue.send(name, i)]))
    const refused = results.flat().filter(({ status }) => status === 'rejected')
    for (const { reason } of refused as PromiseRejectedResult[]) {
      assert.deepEqual(
        [(reason as { code: string }).code, (reason as { certainty: string }).certainty],
        ['MQ_QUEUE_FULL', 'not-stored'],
      )
    }
    if (t.capabilities.limits === 'exact') assert.equal(refused.length, 7)
    else {
      assert.ok(refused.length > 0, 'nothing was refused')
      t.refused('limits')
    }
    const got = await drain(queue, name)
    assert.equal(got.length, 10 - refused.length)
    await queue.send(name, 'room again')
    assert.equal((await take(t, queue, name)).body, 'room again')
  })

  item('drop-oldest', 'overflow drop-oldest makes room by dead-lettering the oldest', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    if (t.capabilities.limits === 'none') {
      await rejects(queue.createQueue({ name, maxLength: 3, overflow: 'drop-oldest' }), 'MQ_UNSUPPORTED')
      return t.refused('limits')
    }
    for (const kind of [{}, { ordered: true, partitions: 1 }]) {
      const of = t.name()
      await queue.createQueue({ ...kind, name: of, maxLength: 3, overflow: 'drop-oldest' })
      for (const i of numbers(5)) await queue.send(of, i, { key: 'k' })
      await t.until(async () => (await queue.deadLetters(of).count()) >= 2, 'two dropped')
      const dead = (await queue.deadLetters(of).list()).messages
      eachOnce(
        dead.map(({ body }) => body),
        [0, 1],
        'dropped',
      )
      for (const { deadLetter } of dead) assert.equal(deadLetter?.reason, 'max-length')
      const bodies = (await drain(queue, of)).map(({ body }) => body)
      assert.deepEqual(bodies, [2, 3, 4])
    }
    if (t.capabilities.limits !== 'exact') t.refused('limits')
  })

  item('drop-oldest-due', 'what was delayed makes room once it is due, as what is sent does', async (t) => {
    const { limits: kept } = t.capabilities
    if (kept === 'none') return t.refused('limits')
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, maxLength: 2, overflow: 'drop-oldest' })
    await queue.send(name, 'due', { delay: 2000 })
    for (const body of ['a', 'b']) await queue.send(name, body)
    const dropped = async () => {
      // Who asks how many there are makes a broker look.
      await queue.getQueueSize(name)
      return (await queue.deadLetters(name).count()) > 0
    }
    await t.until(dropped, 'one dropped')
    const bodies = (await drain(queue, name)).map(({ body }) => body)
    assert.deepEqual(bodies, ['b', 'due'])
    if (kept !== 'exact') t.refused('limits')
  })

  item('max-bytes', 'maxLengthBytes refuses what is too much', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    if (t.capabilities.limits === 'none') {
      const error = await rejects(queue.createQueue({ name, maxLengthBytes: 4096 }), 'MQ_UNSUPPORTED')
      assert.match(error.message, /maxLengthBytes/)
      return t.refused('limits')
    }
    await queue.createQueue({ name, maxLengthBytes: 4096, overflow: 'reject' })
    const body = new Uint8Array(1024)
    let refused = 0
    for (let i = 0; i < 10; i++) {
      const [result] = await Promise.allSettled([queue.send(name, body, i % 2 === 0 ? {} : { ttl: 600_000 })])
      if (result.status === 'rejected') {
        refused++
        assert.equal((result.reason as { code: string }).code, 'MQ_QUEUE_FULL')
      }
    }
    if (t.capabilities.limits === 'exact') assert.equal(refused, 6)
    else assert.ok(refused >= 5, `${refused} of 10 refused`)
    assert.equal((await drain(queue, name)).length, 10 - refused)
    for (let i = 0; i < 4; i++) await queue.send(name, body)
    await queue.purgeQueue(name)
    await queue.send(name, body)
    assert.equal((await drain(queue, name)).length, 1)
    if (t.capabilities.limits !== 'exact') t.refused('limits')
  })

  item('drop-oldest-bytes', 'overflow drop-oldest keeps maxLengthBytes, too', async (t) => {
    const { limits: kept } = t.capabilities
    if (kept === 'none') return t.refused('limits')
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, maxLengthBytes: 4096, overflow: 'drop-oldest' })
    const body = new Uint8Array(1024)
    for (const n of numbers(6)) await queue.send(name, body, { headers: { n: String(n) } })
    await t.until(async () => (await queue.deadLetters(name).count()) >= 2, 'some dropped')
    const numbersOf = (messages: readonly { readonly headers: Readonly<Record<string, string>> }[]) =>
      messages.map(({ headers }) => Number(headers['n']))
    const dropped = numbersOf((await queue.deadLetters(name).list()).messages)
    if (kept === 'exact') assert.equal(dropped.length, 2, 'dropped')
    eachOnce(dropped, numbers(dropped.length), 'dropped')
    assert.deepEqual(numbersOf(await drain(queue, name)), numbers(6).slice(dropped.length))
    if (kept !== 'exact') return t.refused('limits')
    // For a large one several go.
    for (const n of numbers(4)) await queue.send(name, body, { headers: { n: String(n) } })
    await queue.send(name, new Uint8Array(3000).fill(1), { headers: { n: '4' } })
    await t.until(async () => (await queue.getQueueSize(name)) === 2, 'two left')
    assert.deepEqual(numbersOf(await drain(queue, name)), [3, 4])
  })

  item('limits-both', 'of two limits each is kept, within one call as well', async (t) => {
    if (t.capabilities.limits !== 'exact') return t.refused('limits')
    const adapter = await t.connected()
    const target = { queue: t.name() }
    const settings = { ...plainSettings, maxLength: 3, maxLengthBytes: 4096 }
    await adapter.declare(target, { settings, pattern: undefined, ifExists: 'take' })
    const fits: Record<number, readonly boolean[]> = { 2000: [true, true, false], 10: [true, false, false] }
    for (const bytes of [2000, 10]) {
      const batch = numbers(3).map(() => outbound(target, { body: new Uint8Array(bytes).fill(1) }))
      const outcomes = await adapter.publish(batch, t.deadline())
      assert.deepEqual(
        outcomes.map(({ ok }) => ok),
        fits[bytes],
        `of ${bytes} bytes each`,
      )
      for (const outcome of outcomes)
        if (!outcome.ok) assert.equal(adapter.classify(outcome.error).code, 'MQ_QUEUE_FULL')
    }
  })

  item('drop-oldest-call', 'a large call drops as many as it has to, and none that is leased', async (t) => {
    const { limits: kept } = t.capabilities
    if (kept === 'none') return t.refused('limits')
    const queue = await t.connect()
    const name = t.name()
    await queue.createQueue({ name, maxLength: 3, overflow: 'drop-oldest' })
    await queue.send(name, 'held')
    const held = await take(t, queue, name)
    await sendNumbers(queue, name, 7)
    await t.until(async () => (await queue.deadLetters(name).count()) >= 4, 'four dropped')
    const dropped = (await queue.deadLetters(name).list()).messages.map(({ body }) => body)
    // What is leased may count, and then there is room for less.
    eachOnce(dropped, numbers(dropped.length), 'dropped')
    await queue.acknowledge(held)
    assert.deepEqual(
      (await drain(queue, name)).map(({ body }) => body),
      numbers(7).slice(dropped.length),
    )
    if (kept !== 'exact') t.refused('limits')
  })

  item('limit-returned', 'what comes back to a queue that is full by now is not lost', async (t) => {
    if (t.capabilities.limits === 'none') return t.refused('limits')
    const adapter = await t.connected()
    const ways = {
      released: (receiver: Receiver, held: readonly Delivery[]) => receiver.release(held),
      retried: (receiver: Receiver, held: readonly Delivery[]) => receiver.retry(held, 0),
      'retried later': (receiver: Receiver, held: readonly Delivery[]) => receiver.retry(held, 50),
    }
    const settings = { ...plainSettings, maxLength: 2 }
    for (const [way, settle] of Object.entries(ways)) {
      const target = { queue: t.name() }
      await adapter.declare(target, { settings, pattern: undefined, ifExists: 'take' })
      const accepted: string[] = []
      const send = async (n: number) => {
        const batch = numbers(n).map(() => outbound(target))
        const outcomes = await adapter.publish(batch, t.deadline())
        accepted.push(...batch.filter((_, i) => outcomes[i]?.ok === true).map(({ id }) => id))
      }
      await send(2)
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const held = await receiveAll(t, receiver, 1)
      await send(1)
      // It may say that there is no room: then it is still held, until the receiver closes.
      await settle(receiver, held)
      await receiver.close(t.deadline())
      const other = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const got: string[] = []
      while (got.length < accepted.length) {
        const deliveries = await receiveAll(t, other, 1)
        got.push(...deliveries.map(({ id }) => id))
        await other.ack(deliveries)
      }
      eachOnce(got, accepted, way)
      assert.deepEqual([...(await other.receive(10, t.deadline(), 0))], [], way)
    }
  })

  item('limits-freed', 'a full queue has its room again, and no more, however it was emptied', async (t) => {
    if (t.capabilities.limits === 'none') return t.refused('limits')
    const adapter = await t.connected()
    const dead = { queue: t.name('dead') }
    const take = { pattern: undefined, ifExists: 'take' } as const
    await adapter.declare(dead, { settings: plainSettings, ...take })
    const opened = (target: Target, mode: Source['mode']) =>
      adapter.open(source(target, { mode }), () => undefined)
    const settled = (settle: (receiver: Receiver, held: Delivery[]) => Promise<unknown>) => {
      return async (target: Target): Promise<void> => {
        const receiver = await opened(target, 'pull')
        await settle(receiver, await receiveAll(t, receiver, 3))
        await receiver.close(t.deadline())
      }
    }
    const back = (settle: (receiver: Receiver, held: Delivery[]) => Promise<unknown>) =>
      settled(async (receiver, held) => {
        await settle(receiver, held)
        await receiver.ack(await receiveAll(t, receiver, 3))
      })
    const publish = (target: Target, over: Partial<OutboundMessage> = {}) =>
      adapter.publish([outbound(target, over)], t.deadline())
    const ways: Record<string, (target: Target, settings: QueueSettings) => Promise<unknown>> = {
      acknowledged: settled((receiver, held) => receiver.ack(held)),
      'dead-lettered': settled((receiver, held) =>
        receiver.deadLetter(
          held,
          held.map(() => failure()),
          dead,
        ),
      ),
      released: back((receiver, held) => receiver.release(held)),
      retried: back((receiver, held) => receiver.retry(held, 0)),
      'retried later': back((receiver, held) => receiver.retry(held, 50)),
      async left(target, settings) {
        const receiver = await opened(target, 'pull')
        await receiveAll(t, receiver, 3)
        await receiver.close(t.deadline())
        await ways['acknowledged']?.(target, settings)
      },
      purged: (target) => adapter.purge(target),
      async 'delayed until it was due'(target) {
        await adapter.purge(target)
        for (let i = 0; i < 3; i++) await publish(target, { delayMs: 50 })
        await ways['acknowledged']?.(target, plainSettings)
      },
      async expired(target) {
        await adapter.purge(target)
        for (let i = 0; i < 3; i++) await publish(target, { expiresAt: t.now() + 200 })
        await t.quiet(300)
      },
      async deleted(target, settings) {
        await adapter.remove(target)
        await adapter.declare(target, { settings, ...take })
      },
      async 'removed by a browse'(target) {
        const browsing = await opened(target, 'browse')
        await browsing.ack(await receiveAll(t, browsing, 3))
        await browsing.close(t.deadline())
      },
    }
    for (const limit of [{ maxLength: 3 }, { maxLengthBytes: 3 * outbound(dead).body.length }]) {
      const settings = { ...plainSettings, ...limit }
      for (const [what, empty] of Object.entries(ways)) {
        const target = { queue: t.name() }
        await adapter.declare(target, { settings, ...take })
        const sent = async (): Promise<boolean> => (await publish(target))[0]?.ok === true
        for (let i = 0; i < 3; i++) assert.ok(await sent(), 'it did not fit')
        await empty(target, settings)
        for (let i = 0; i < 3; i++) await t.until(sent, `room in a queue of which all was ${what}`)
        if (t.capabilities.limits === 'exact') assert.ok(!(await sent()), `more room, once all was ${what}`)
      }
    }
  })

  item('limits-kinds', 'a limit is kept by an ordered queue and by one with priorities, too', async (t) => {
    if (t.capabilities.limits !== 'exact') return t.refused('limits')
    const adapter = await t.connected()
    const kinds: readonly Partial<QueueSettings>[] = [
      { ordered: true },
      ...(t.capabilities.priorityLevels > 1 ? [{ maxPriority: 5 }] : []),
    ]
    const bytes = outbound({ queue: '' }).body.length
    for (const kind of kinds) {
      for (const limit of [{ maxLength: 3 }, { maxLengthBytes: 3 * bytes }]) {
        const target = await declare(adapter, t.name(), { ...kind, ...limit })
        const what = JSON.stringify({ ...kind, ...limit })
        const send = async (priority: number) => {
          const [outcome] = await adapter.publish([outbound(target, { key: 'k', priority })], t.deadline())
          return outcome?.ok
        }
        const { ordered = false } = kind
        const receiver = await adapter.open(source(target, { mode: 'pull', ordered }), () => undefined)
        for (let i = 0; i < 2; i++) {
          const fitted = []
          for (const n of numbers(4)) fitted.push(await send(ordered ? 0 : n))
          assert.deepEqual(fitted, [true, true, true, false], what)
          for (let left = 3; left > 0; left--) await receiver.ack(await receiveAll(t, receiver, 1))
        }
      }
    }
  })
})
