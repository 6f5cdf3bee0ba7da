import assert from 'node:assert/strict'
import type { Delivery } from '@mq/core/adapter'
import { failure, outbound, plainSettings, source } from '../fixtures.ts'
import { CLOCKS_APART_MS, eachOnce, later, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { deadOf, EFFECTS, found, leased, mortal, OPERATIONS, settle, settled } from '../stage.ts'

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
        assert.ok(at >= before - CLOCKS_APART_MS && at <= t.now() + CLOCKS_APART_MS, `firstFailedAt ${at}`)
      }
      settled(await other.retry(second === undefined ? [] : [second], 0), 1)
      const [third] = await receiveAll(t, other, 1)
      assert.deepEqual([third?.deliveryCount, third?.firstFailedAt], [2, second?.firstFailedAt])
    },
  )

  item('dead-letter', 'deadLetter moves each with its own failure, and keeps the rest', async (t) => {
    const stage = await mortal(t, 4)
    const target = deadOf(stage)
    const [one, ...others] = stage.deliveries as [Delivery, ...Delivery[]]
    settled(await stage.receiver.retry([one], 0), 1)
    const deliveries = [...(await receiveAll(t, stage.receiver, 1)), ...others]
    const infos = [
      failure({ queue: stage.name, attempts: 300 }),
      failure({ queue: stage.name, reason: 'invalid', host: 'other' }),
      // Nothing that could be told.
      failure({ queue: 'a', attempts: 0, error: { name: '', message: '', stack: '' }, host: '' }),
      failure({
        queue: 'a.b',
        subscription: 'c.d',
        reason: 'undecodable',
        error: { name: 'Ünfähig', message: ` ${'long '.repeat(1000)}`, stack: '漢\n' },
      }),
    ]
    settled(await stage.receiver.deadLetter(deliveries, infos, target), infos.length)
    await stage.receiver.close(t.deadline())
    assert.deepEqual(await found(t, stage, 0), [])
    const letters = await stage.adapter.open(source(target), () => undefined)
    const dead = await receiveAll(t, letters, infos.length)
    for (const [i, id] of stage.deliveries.map((delivery) => delivery.id).entries()) {
      const letter = dead.find((delivery) => delivery.id === id)
      assert.deepEqual(letter?.deadLetter, infos[i])
      assert.deepEqual({ ...letter?.headers }, { ...stage.deliveries[i]?.headers })
      assert.deepEqual([...(letter?.body ?? [])], [...(stage.deliveries[i]?.body ?? [])])
      assert.equal(letter?.deliveryCount, 0, 'a count of its former life')
    }
  })

  item(
    'dead-letter-refused',
    'a dead letter that is refused stays leased, and the others of the call are moved',
    async (t) => {
      const { limits } = t.capabilities
      if (limits === 'none') return t.refused('limits')
      const stage = await mortal(t, 10, 30_000, 1)
      const outcomes = await settle(stage, 'deadLetter', stage.deliveries)
      assert.equal(outcomes.length, 10)
      assert.ok(!outcomes.includes('lost'), 'some were lost')
      const [moved, kept] = [true, false].map((done) =>
        stage.deliveries.filter((_, i) => (outcomes[i] === 'settled') === done).map(({ id }) => id),
      ) as [string[], string[]]
      if (limits === 'exact') assert.deepEqual([moved.length, kept.length], [1, 9], 'moved and refused')
      assert.deepEqual(await found(t, stage, 0), [], 'one came back while it was leased')
      await stage.receiver.close(t.deadline())
      const letters = await stage.adapter.open(source(deadOf(stage), { mode: 'pull' }), () => undefined)
      const dead = await receiveAll(t, letters, moved.length)
      dead.push(...(await letters.receive(10, t.deadline(), 0)))
      eachOnce(
        dead.map(({ id }) => id),
        moved,
        'moved',
      )
      const back = await found(t, stage, kept.length)
      eachOnce(
        back.map(({ id }) => id),
        kept,
        'refused',
      )
      if (limits === 'soft') t.refused('limits')
    },
  )

  item(
    'renew',
    'renew starts the lease anew, and no more: without a further one it runs out as the first would have',
    async (t) => {
      const stage = await leased(t, 2, t.leaseMs)
      if (t.capabilities.ownership === 'connection') {
        settled(await stage.receiver.renew(stage.deliveries), 2)
        return t.refused('ownership')
      }
      let renewedAt = 0
      for (let i = 0; i < 8; i++) {
        await t.quiet(t.leaseMs / 4)
        renewedAt = t.now()
        settled(await stage.receiver.renew(stage.deliveries), 2)
      }
      assert.deepEqual(await found(t, stage, 0), [])
      const [kept, left] = stage.deliveries as [Delivery, Delivery]
      settled(await stage.receiver.ack([kept]), 1)
      const other = await stage.adapter.open(source({ queue: stage.name }), () => undefined)
      const [again] = await receiveAll(t, other, 1)
      const lasted = t.now() - renewedAt
      assert.deepEqual([again?.id, again?.deliveryCount], [left.id, 0])
      assert.ok(lasted >= t.leaseMs - 10, `a renewed lease of ${t.leaseMs} ms ran out after ${lasted} ms`)
      assert.deepEqual([...(await stage.receiver.ack([left]))], ['lost'])
    },
  )

  item(
    'renew-length',
    'a lease is as long as it was asked for, from its beginning or its renewal',
    async (t) => {
      if (t.capabilities.ownership === 'connection') return t.refused('ownership')
      const adapter = await t.connected()
      const target = { queue: t.name() }
      await adapter.declare(target, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const leaseMs = 4000
      const own = await adapter.open(source(target, { mode: 'pull', leaseMs }), () => undefined)
      const other = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const longest = 2 * leaseMs - 1000
      let lasted = Infinity
      // The best of some: a stall of this machine is not the broker's, which looks now and then.
      for (let tries = 0; tries < 3 && lasted > longest; tries++) {
        await adapter.publish([outbound(target), outbound(target)], t.deadline())
        await t.quiet(leaseMs / 4)
        const began = t.now()
        const [, renewed] = (await receiveAll(t, own, 2)) as [Delivery, Delivery]
        // Nor does it last longer for what was left of the one before.
        for (let i = 0; i < 3; i++) settled(await own.renew([renewed]), 1)
        const theirs = await receiveAll(t, other, 1)
        assert.ok(t.now() - began >= leaseMs - 10, `one ran out after ${t.now() - began} ms`)
        theirs.push(...(await receiveAll(t, other, 1)))
        lasted = t.now() - began
        settled(await other.ack(theirs), 2)
      }
      assert.ok(lasted <= longest, `at best it ran out after ${lasted} ms`)
    },
  )

  item('expires', 'without renewal a lease runs out: another gets the message, uncounted', async (t) => {
    const stage = await leased(t, 1, 300)
    if (t.capabilities.ownership === 'connection') await stage.adapter.disconnect(t.deadline())
    const other = await t.connected()
    const theirs = await other.open(source({ queue: stage.name }), () => undefined)
    const [again] = (await receiveAll(t, theirs, 1)) as [Delivery]
    assert.deepEqual([again.id, again.deliveryCount], [stage.ids[0], 0])
    assert.ok(again.redeliveries >= 1, 'redeliveries')
    // Whose own lease is longer.
    await t.quiet(1000)
    settled(await theirs.ack([again]), 1)
    if (t.capabilities.ownership === 'connection') t.refused('ownership')
  })

  for (const operation of OPERATIONS) {
    item(
      `stale-${operation}`,
      `${operation} of a delivery that belongs to somebody else answers lost, and changes nothing`,
      async (t) => {
        const stage = await mortal(t, 2, 300)
        if (t.capabilities.ownership === 'connection') return t.refused('ownership')
        const other = await stage.adapter.open(source({ queue: stage.name }), () => undefined)
        const theirs = await receiveAll(t, other, 2)
        assert.deepEqual([...(await settle(stage, operation, stage.deliveries))], ['lost', 'lost'])
        assert.deepEqual(await found(t, stage, 0), [], 'it came to a third')
        assert.equal(await stage.adapter.size(deadOf(stage)), 0, 'it was dead-lettered')
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

  for (const operation of OPERATIONS) {
    item(
      `outcomes-${operation}`,
      `${operation} of some that are settled already is done for the others, each with its own outcome`,
      async (t) => {
        const stage = await mortal(t, 4)
        const [a, b, c, d] = stage.deliveries as [Delivery, Delivery, Delivery, Delivery]
        settled(await stage.receiver.ack([b, d]), 2)
        const outcomes = await settle(stage, operation, [a, b, c, d])
        assert.deepEqual([outcomes.length, outcomes[0], outcomes[2]], [4, 'settled', 'settled'])
        // Where the connection is the owner, nobody else can have it, and settling twice may go unnoticed.
        if (t.capabilities.ownership === 'lease')
          assert.deepEqual([outcomes[1], outcomes[3]], ['lost', 'lost'])
        const { back, dead, counted } = EFFECTS[operation]
        const ready = await found(t, stage, 2 * back)
        const letters = await stage.adapter.open(source(deadOf(stage), { mode: 'pull' }), () => undefined)
        const died = await receiveAll(t, letters, 2 * dead)
        const moved = [...ready, ...died]
        eachOnce(
          moved.map(({ id }) => id),
          moved.length === 0 ? [] : [a.id, c.id],
        )
        for (const { deliveryCount } of ready) assert.equal(deliveryCount, counted, 'count')
        if (operation === 'renew') settled(await stage.receiver.ack([a, c]), 2)
        assert.deepEqual(await letters.receive(10, t.deadline(), 0), [], 'more dead letters')
        assert.deepEqual(await found(t, stage, 0), [], 'more came back')
      },
    )
  }

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
    'deleted',
    'receive of a deleted queue, or of a subscription deleted with its topic, rejects as MQ_QUEUE_NOT_FOUND',
    async (t) => {
      const adapter = await t.connected()
      const topic = t.name('topic')
      await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const target = { topic, subscription: 's' }
      await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
      const stage = await leased(t, 1)
      const cases = [
        { receiver: await adapter.open(source(target), () => undefined), of: { topic } },
        { receiver: stage.receiver, of: { queue: stage.name } },
      ]
      for (const { receiver: deprived, of } of cases) {
        const receiving = deprived.receive(1, t.deadline(), 60_000).then(
          () => null,
          (error: unknown) => error,
        )
        await stage.adapter.remove(of)
        const error = await receiving
        assert.ok(error !== null, 'it resolved')
        assert.equal(adapter.classify(error).code, 'MQ_QUEUE_NOT_FOUND')
      }
    },
  )
})
