import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, Receiver, SettleOutcome } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { eachOnce, failureInfo, later, outbound, PLAIN, receiveAll, source } from '../helpers.ts'
import { group } from '../item.ts'

interface Stage {
  readonly adapter: BrokerAdapter
  readonly name: string
  readonly ids: readonly string[]
  readonly receiver: Receiver
  readonly deliveries: readonly Delivery[]
}

/** A queue with `n` messages, all leased to one receiver. */
async function leased(t: TestContext, n: number, leaseMs = 30_000): Promise<Stage> {
  const adapter = await t.connected()
  const name = t.name()
  await adapter.declare({ queue: name }, { settings: PLAIN, pattern: undefined, ifExists: 'take' })
  const messages = Array.from({ length: n }, (_, i) =>
    outbound(name, { body: Buffer.from(String(i)), headers: { i: String(i) } }),
  )
  await adapter.publish(messages, t.deadline())
  const receiver = await adapter.open(source({ queue: name }, { mode: 'pull', leaseMs }), () => undefined)
  const deliveries = await receiveAll(t, receiver, n)
  return { adapter, name, ids: messages.map(({ id }) => id), receiver, deliveries }
}

/** What another receiver finds: `n` messages, or with 0 whatever is ready now. */
async function found(t: TestContext, { adapter, name }: Stage, n: number): Promise<Delivery[]> {
  const other = await adapter.open(source({ queue: name }, { mode: 'pull' }), () => undefined)
  if (n > 0) return receiveAll(t, other, n)
  const all = [...(await other.receive(10, t.deadline(), 0))]
  await other.close(t.deadline())
  return all
}

function settled(outcomes: readonly SettleOutcome[], n: number): void {
  assert.deepEqual([...outcomes], new Array(n).fill('settled'))
}

/** Settling, as the contract has it. */
export const receiver = group('receiver', (item) => {
  item('ack', 'ack answers one outcome each, and the messages are gone', async (t) => {
    const stage = await leased(t, 3)
    settled(await stage.receiver.ack(stage.deliveries), 3)
    await stage.receiver.close(t.deadline())
    assert.deepEqual(await found(t, stage, 0), [])
  })

  item('ack-some', 'ack of some leaves the others leased', async (t) => {
    const stage = await leased(t, 4)
    settled(await stage.receiver.ack(stage.deliveries.slice(1, 3)), 2)
    assert.deepEqual(await found(t, stage, 0), [])
    await stage.receiver.close(t.deadline())
    const left = await found(t, stage, 2)
    eachOnce(
      left.map(({ id }) => id),
      [stage.deliveries[0]?.id, stage.deliveries[3]?.id],
    )
  })

  item('release', 'release gives back at once, uncounted', async (t) => {
    const stage = await leased(t, 3)
    settled(await stage.receiver.release(stage.deliveries), 3)
    const again = await found(t, stage, 3)
    eachOnce(
      again.map(({ id }) => id),
      stage.ids,
    )
    assert.deepEqual([...new Set(again.map(({ deliveryCount }) => deliveryCount))], [0])
  })

  item(
    'retry',
    'retry comes back counted, at once or no earlier than its delay, with its first failure',
    async (t) => {
      const stage = await leased(t, 2)
      const [one, two] = stage.deliveries as [Delivery, Delivery]
      const before = t.now()
      settled(await stage.receiver.retry([one], 0), 1)
      settled(await stage.receiver.retry([two], 300), 1)
      const other = await stage.adapter.open(source({ queue: stage.name }), () => undefined)
      const [first] = await receiveAll(t, other, 1)
      assert.deepEqual([first?.id, first?.deliveryCount], [one.id, 1])
      const [second] = await receiveAll(t, other, 1)
      assert.deepEqual([second?.id, second?.deliveryCount], [two.id, 1])
      assert.ok(t.now() - before >= 298, `came back after ${t.now() - before} ms`)
      for (const delivery of [first, second]) {
        const at = delivery?.firstFailedAt ?? 0
        assert.ok(at >= before - 50 && at <= t.now() + 50, `firstFailedAt ${at}`)
      }
      settled(await other.retry(second === undefined ? [] : [second], 0), 1)
      const [third] = await receiveAll(t, other, 1)
      assert.deepEqual([third?.deliveryCount, third?.firstFailedAt], [2, second?.firstFailedAt])
    },
  )

  item('dead-letter', 'deadLetter moves each with its own failure, and keeps the rest', async (t) => {
    const stage = await leased(t, 2)
    const target = { queue: `${stage.name}.dlq` }
    await stage.adapter.declare(target, { settings: PLAIN, pattern: undefined, ifExists: 'take' })
    const infos = [
      failureInfo(stage.name, { attempts: 3 }),
      failureInfo(stage.name, { reason: 'invalid', host: 'other' }),
    ]
    settled(await stage.receiver.deadLetter(stage.deliveries, infos, target), 2)
    await stage.receiver.close(t.deadline())
    assert.deepEqual(await found(t, stage, 0), [])
    const dead = await receiveAll(t, await stage.adapter.open(source(target), () => undefined), 2)
    for (const [i, id] of stage.deliveries.map((delivery) => delivery.id).entries()) {
      const letter = dead.find((delivery) => delivery.id === id)
      assert.deepEqual(letter?.deadLetter, infos[i])
      assert.deepEqual({ ...letter?.headers }, { ...stage.deliveries[i]?.headers })
      assert.deepEqual([...(letter?.body ?? [])], [...(stage.deliveries[i]?.body ?? [])])
    }
  })

  item('renew', 'renew starts the lease anew', async (t) => {
    const stage = await leased(t, 1, t.leaseMs)
    if (t.capabilities.ownership === 'connection') {
      settled(await stage.receiver.renew(stage.deliveries), 1)
      return t.refused('ownership')
    }
    for (let i = 0; i < 8; i++) {
      await t.quiet(t.leaseMs / 4)
      settled(await stage.receiver.renew(stage.deliveries), 1)
    }
    assert.deepEqual(await found(t, stage, 0), [])
    settled(await stage.receiver.ack(stage.deliveries), 1)
  })

  item('expires', 'without renewal a lease runs out: another gets the message, uncounted', async (t) => {
    const stage = await leased(t, 1, 300)
    if (t.capabilities.ownership === 'connection') await stage.adapter.disconnect(t.deadline())
    const other = await t.connected()
    const [again] = await receiveAll(t, await other.open(source({ queue: stage.name }), () => undefined), 1)
    assert.deepEqual([again?.id, again?.deliveryCount], [stage.ids[0], 0])
    assert.ok((again?.redeliveries ?? 0) >= 1, 'redeliveries')
    if (t.capabilities.ownership === 'connection') t.refused('ownership')
  })

  for (const operation of ['ack', 'release', 'retry', 'deadLetter', 'renew'] as const) {
    item(
      `stale-${operation}`,
      `${operation} of a delivery that belongs to somebody else answers lost, and changes nothing`,
      async (t) => {
        const stage = await leased(t, 2, 300)
        const target = { queue: `${stage.name}.dlq` }
        await stage.adapter.declare(target, { settings: PLAIN, pattern: undefined, ifExists: 'take' })
        if (t.capabilities.ownership === 'connection') return t.refused('ownership')
        const other = await stage.adapter.open(source({ queue: stage.name }), () => undefined)
        const theirs = await receiveAll(t, other, 2)
        const outcomes = await {
          ack: () => stage.receiver.ack(stage.deliveries),
          release: () => stage.receiver.release(stage.deliveries),
          retry: () => stage.receiver.retry(stage.deliveries, 0),
          deadLetter: () =>
            stage.receiver.deadLetter(
              stage.deliveries,
              stage.deliveries.map(() => failureInfo(stage.name)),
              target,
            ),
          renew: () => stage.receiver.renew(stage.deliveries),
        }[operation]()
        assert.deepEqual([...outcomes], ['lost', 'lost'])
        assert.deepEqual(await found(t, stage, 0), [], 'it came to a third')
        assert.equal(await stage.adapter.size(target), 0, 'it was dead-lettered')
        settled(await other.ack(theirs), 2)
      },
    )
  }

  item('outcomes', 'within one call each delivery has its own outcome, in input order', async (t) => {
    const stage = await leased(t, 4)
    const [a, b, c, d] = stage.deliveries as [Delivery, Delivery, Delivery, Delivery]
    settled(await stage.receiver.ack([b]), 1)
    settled(await stage.receiver.release([d]), 1)
    const outcomes = await stage.receiver.ack([a, b, c, d])
    assert.deepEqual([outcomes.length, outcomes[0], outcomes[2]], [4, 'settled', 'settled'])
    // Settled once already: whatever it says, the message that was given back is not gone by it.
    const again = await found(t, stage, 1)
    assert.deepEqual(
      again.map(({ id }) => id),
      [d.id],
    )
  })

  item('close', 'close gives back what was not settled, and is idempotent', async (t) => {
    const stage = await leased(t, 3)
    settled(await stage.receiver.ack(stage.deliveries.slice(0, 1)), 1)
    await stage.receiver.close(t.deadline())
    await stage.receiver.close(t.deadline())
    const left = await found(t, stage, 2)
    eachOnce(
      left.map(({ id }) => id),
      stage.deliveries.slice(1).map(({ id }) => id),
    )
    assert.deepEqual([...new Set(left.map(({ deliveryCount }) => deliveryCount))], [0])
  })

  item('parallel', 'settlements may overlap each other and receive', async (t) => {
    const stage = await leased(t, 30)
    const receiving = later(stage.receiver.receive(10, t.deadline(), 200))
    const [acked, released, retried] = [0, 10, 20].map((from) => stage.deliveries.slice(from, from + 10))
    const outcomes = await Promise.all([
      stage.receiver.ack(acked ?? []),
      stage.receiver.release(released ?? []),
      stage.receiver.retry(retried ?? [], 0),
    ])
    for (const outcome of outcomes) settled(outcome, 10)
    const again = [...(await receiving)]
    while (again.length < 20) again.push(...(await receiveAll(t, stage.receiver, 1)))
    eachOnce(
      again.map(({ id }) => id),
      [...(released ?? []), ...(retried ?? [])].map(({ id }) => id),
    )
  })

  item(
    'browse',
    'a browse shows each waiting message once, in order, leases nothing, and ends',
    async (t) => {
      const adapter = await t.connected()
      const name = t.name()
      await adapter.declare({ queue: name }, { settings: PLAIN, pattern: undefined, ifExists: 'take' })
      const signal = t.deadline()
      const messages = Array.from({ length: 5 }, () => outbound(name))
      await adapter.publish(messages, signal)
      const browse = await adapter.open(source({ queue: name }, { mode: 'browse' }), () => undefined)
      const seen: Delivery[] = []
      for (;;) {
        const page = await browse.receive(2, signal, 0)
        assert.ok(page.length <= 2, 'more than it was asked for')
        if (page.length === 0) break
        seen.push(...page)
      }
      assert.deepEqual(
        seen.map(({ id }) => id),
        messages.map(({ id }) => id),
      )
      settled(await browse.ack(seen.slice(0, 1)), 1)
      await browse.close(signal)
      const after = await adapter.open(
        source({ queue: name }, { mode: 'browse', after: seen[2]?.position }),
        () => undefined,
      )
      const rest = await after.receive(10, signal, 0)
      if (!t.capabilities.browseHides) {
        assert.deepEqual(
          rest.map(({ id }) => id),
          messages.slice(3).map(({ id }) => id),
        )
      } else t.refused('browseHides')
      await after.close(signal)
      const stage = { adapter, name, ids: [], receiver: browse, deliveries: [] }
      eachOnce(
        (await found(t, stage, 4)).map(({ id }) => id),
        messages.slice(1).map(({ id }) => id),
      )
    },
  )

  item('deleted', 'receive of a deleted queue rejects as MQ_QUEUE_NOT_FOUND', async (t) => {
    const stage = await leased(t, 1)
    const receiving = stage.receiver.receive(1, t.deadline(), 60_000).then(
      () => null,
      (error: unknown) => error,
    )
    await stage.adapter.remove({ queue: stage.name })
    const error = await receiving
    assert.ok(error !== null, 'it resolved')
    assert.equal(stage.adapter.classify(error).code, 'MQ_QUEUE_NOT_FOUND')
  })
})
