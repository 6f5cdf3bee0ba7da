import assert from 'node:assert/strict'
import { subscription } from '@mq/core'
import type { BrokerAdapter, Delivery, Receiver, SettleOutcome, Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { declare, failure, outbound, plainSettings, source } from '../fixtures.ts'
import { drain, eachOnce, later, MOST_LATE_MS, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { within } from '../schedule.ts'
import { EFFECTS, OPERATIONS, settled, type Operation } from '../stage.ts'

type Subscription = Extract<Target, { topic: string }>

const open = (adapter: BrokerAdapter, target: Target, leaseMs?: number): Promise<Receiver> =>
  adapter.open(
    source(target, { mode: 'pull', ...(leaseMs === undefined ? {} : { leaseMs }) }),
    () => undefined,
  )

async function subscribed(t: TestContext, adapter: BrokerAdapter, topic: string, subscription: string) {
  const target = { topic, subscription }
  await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
  await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
  return target
}

/** Where its dead letters go. */
const deadQueue = (adapter: BrokerAdapter, { topic, subscription }: Subscription) =>
  declare(adapter, `${topic}.${subscription}.dlq`)

function settle(
  receiver: Receiver,
  operation: Operation,
  deliveries: readonly Delivery[],
  dead: Target,
): Promise<readonly SettleOutcome[]> {
  if (operation === 'retry') return receiver.retry(deliveries, 0)
  if (operation !== 'deadLetter') return receiver[operation](deliveries)
  const failures = deliveries.map((_, i) => failure({ attempts: i + 1 }))
  return receiver.deadLetter(deliveries, failures, dead)
}

/** A subscription is a queue like any other. */
export const subscriptions = group('topics', (item) => {
  item(
    'create',
    'a topic and its subscription may be made by any number of connections at once',
    async (t) => {
      const adapters = await Promise.all(numbers(3).map(() => t.connected()))
      const topic = t.name('topic')
      const made = adapters.map((adapter) => later(subscribed(t, adapter, topic, 's')))
      const [target] = (await Promise.all(made)) as [Target]
      const message = outbound({ topic })
      for (const { ok } of await (adapters[1] as BrokerAdapter).publish([message], t.deadline()))
        assert.ok(ok, 'it was not accepted')
      const receiver = await open(adapters[2] as BrokerAdapter, target)
      const got = [...(await receiveAll(t, receiver, 1)), ...(await receiver.receive(10, t.deadline(), 0))]
      assert.deepEqual(
        got.map(({ id }) => id),
        [message.id],
      )
    },
  )

  item('returned', 'what a receiver of a subscription releases or leaves behind comes back', async (t) => {
    const adapter = await t.connected()
    const target = await subscribed(t, adapter, t.name('topic'), 's')
    const { topic } = target
    const bystander = await subscribed(t, adapter, topic, 'another')
    const messages = [outbound({ topic }), outbound({ topic }), outbound({ topic })]
    await adapter.publish(messages, t.deadline())
    const receiver = await open(adapter, target)
    const held = await receiveAll(t, receiver, 3)
    const [one] = held as [Delivery]
    settled(await receiver.release([one]), 1)
    const [again] = (await receiveAll(t, receiver, 1)) as [Delivery]
    assert.deepEqual([again.id, again.deliveryCount], [one.id, 0], 'released')
    settled(await receiver.retry([again], 50), 1)
    const [retried] = (await receiveAll(t, receiver, 1)) as [Delivery]
    assert.deepEqual([retried.id, retried.deliveryCount], [one.id, 1], 'retried')
    await receiver.close(t.deadline())
    const other = await open(adapter, target)
    const left = await receiveAll(t, other, 3)
    eachOnce(
      left.map(({ id }) => id),
      messages.map(({ id }) => id),
      'of a closed receiver',
    )
    settled(await other.ack(left), 3)
    // None of it came to another one.
    const beside = await open(adapter, bystander)
    const apart = [...(await receiveAll(t, beside, 3)), ...(await beside.receive(10, t.deadline(), 0))]
    eachOnce(
      apart.map(({ id }) => id),
      messages.map(({ id }) => id),
      'in the other subscription',
    )
    assert.ok(
      apart.every(({ deliveryCount }) => deliveryCount === 0),
      'counted in the other subscription',
    )
  })

  item('many', 'a large call to a topic is copied whole to each subscription', async (t) => {
    const adapter = await t.connected()
    const topic = t.name('topic')
    const targets = [await subscribed(t, adapter, topic, 'a'), await subscribed(t, adapter, topic, 'b')]
    const messages = numbers(300).map((n) => outbound({ topic }, { headers: { n: String(n) } }))
    const pull = { mode: 'pull', prefetch: messages.length } as const
    // One that waits already, and is told by another connection.
    const awake = await adapter.open(
      source(await subscribed(t, adapter, topic, 'awake'), pull),
      () => undefined,
    )
    const picky = { topic, subscription: 'picky' }
    await adapter.declare(picky, { settings: plainSettings, pattern: 'no.such', ifExists: 'take' })
    const waiting = later(awake.receive(1, t.deadline(t.patienceMs * 4), t.patienceMs * 4))
    await t.quiet(50)
    const outcomes = await (await t.connected()).publish(messages, t.deadline())
    assert.deepEqual([outcomes.length, outcomes.every(({ ok }) => ok)], [messages.length, true], 'outcomes')
    assert.equal((await within(t.clock, waiting, t.patienceMs, () => 'receive waited on')).length, 1)
    for (const target of targets) {
      await t.until(async () => (await adapter.size(target)) === messages.length, 'size 300')
      const receiver = await adapter.open(source(target, pull), () => undefined)
      const got = await receiveAll(t, receiver, messages.length)
      got.push(...(await receiver.receive(10, t.deadline(), 0)))
      const told = (list: readonly Pick<Delivery, 'id' | 'headers'>[]) =>
        list.map(({ id, headers }) => `${id} ${headers['n']}`)
      eachOnce(told(got), told(messages), target.subscription)
    }
    assert.deepEqual([...(await (await open(adapter, picky)).receive(10, t.deadline(), 0))], [], 'unmatched')
  })

  item('size', 'size and purge of a subscription leave out what is leased or delayed', async (t) => {
    const adapter = await t.connected()
    const { size, purgeLiveSubscription, purgeDelayed } = t.capabilities
    const target = await subscribed(t, adapter, t.name('topic'), 's')
    const { topic } = target
    await adapter.publish([outbound({ topic }), outbound({ topic }), outbound({ topic })], t.deadline())
    await t.until(async () => (await adapter.size(target)) === 3, 'size 3')
    const receiver = await open(adapter, target)
    const held = await receiveAll(t, receiver, 1)
    if (size !== 'ready') return t.refused('size')
    await adapter.publish([outbound({ topic }, { delayMs: 600_000 })], t.deadline())
    await t.quiet(50)
    await t.until(async () => (await adapter.size(target)) === 2, 'size 2')
    if (!purgeLiveSubscription) return t.refused('purgeLiveSubscription')
    const dead = { queue: `${topic}.s.dlq` }
    await adapter.declare(dead, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    await adapter.publish([outbound(dead)], t.deadline())
    assert.equal(await adapter.purge(target), purgeDelayed ? 3 : 2)
    await t.until(async () => (await adapter.size(dead)) === 1, 'its dead letter left')
    await t.until(async () => (await adapter.size(target)) === 0, 'size 0')
    settled(await receiver.retry(held, 0), 1)
    const [back] = await receiveAll(t, receiver, 1)
    assert.deepEqual([back?.id, back?.deliveryCount], [held[0]?.id, 1])
  })

  item('delete-delayed', 'what is delayed goes with its subscription, and with its topic', async (t) => {
    if (!t.capabilities.purgeDelayed) return t.refused('purgeDelayed')
    const adapter = await t.connected()
    const topic = t.name('topic')
    for (const deleted of [{ topic, subscription: 's' }, { topic }]) {
      const target = await subscribed(t, adapter, topic, 's')
      const bystander = await subscribed(t, adapter, topic, 'another')
      const receiver = await open(adapter, target)
      const [again, late] = [outbound({ topic }), outbound({ topic }, { delayMs: 500 })]
      await adapter.publish([again], t.deadline())
      settled(await receiver.retry(await receiveAll(t, receiver, 1), 500), 1)
      await adapter.publish([late], t.deadline())
      await receiver.close(t.deadline())
      await adapter.remove(deleted)
      await subscribed(t, adapter, topic, 's')
      await t.quiet(800)
      const found = await (await open(adapter, target)).receive(10, t.deadline(), 0)
      assert.deepEqual(
        found.map(({ id }) => id),
        [],
        `of a deleted ${'subscription' in deleted ? 'subscription' : 'topic'}`,
      )
      if (!('subscription' in deleted)) continue
      const beside = await receiveAll(t, await open(adapter, bystander), 2)
      eachOnce(
        beside.map(({ id }) => id),
        [again.id, late.id],
        'in the other subscription',
      )
    }
  })

  item('lease', 'a lease of a subscription’s message runs out as one of a queue’s does', async (t) => {
    if (t.capabilities.ownership === 'connection') return t.refused('ownership')
    const adapter = await t.connected()
    const target = await subscribed(t, adapter, t.name('topic'), 's')
    const message = outbound({ topic: target.topic })
    await adapter.publish([message], t.deadline())
    const bystander = await subscribed(t, adapter, target.topic, 'another')
    const receiver = await open(adapter, target, 300)
    const held = await receiveAll(t, receiver, 1)
    const [again] = await receiveAll(t, await open(adapter, target), 1)
    assert.deepEqual([again?.id, again?.deliveryCount], [message.id, 0])
    assert.ok((again?.redeliveries ?? 0) >= 1, 'redeliveries')
    const dead = await deadQueue(adapter, target)
    for (const operation of OPERATIONS)
      assert.deepEqual([...(await settle(receiver, operation, held, dead))], ['lost'], operation)
    assert.equal(await adapter.size(dead), 0, 'it was dead-lettered')
    assert.equal(await adapter.size(bystander), 0, 'it came to another subscription')
    await adapter.publish([outbound({ topic: target.topic })], t.deadline())
    const renewing = await open(adapter, target, t.leaseMs)
    const renewed = await receiveAll(t, renewing, 1)
    for (let i = 0; i < 6; i++) {
      await t.quiet(t.leaseMs / 4)
      settled(await renewing.renew(renewed), 1)
    }
    const other = await open(adapter, target)
    assert.deepEqual([...(await other.receive(10, t.deadline(), 0))], [], 'of a lease that was renewed')
    settled(await renewing.ack(renewed), 1)
  })

  item('settle-several', 'a settlement of several in a subscription is done for each of them', async (t) => {
    const adapter = await t.connected()
    const several = 3
    for (const operation of ['ack', 'release', 'retry', 'deadLetter'] as const) {
      const target = await subscribed(t, adapter, t.name('topic'), 's')
      const dead = await deadQueue(adapter, target)
      const messages = numbers(several).map(() => outbound({ topic: target.topic }))
      await adapter.publish(messages, t.deadline())
      const receiver = await open(adapter, target)
      const held = await receiveAll(t, receiver, several)
      settled(await settle(receiver, operation, held, dead), several)
      const { back, dead: died, counted } = EFFECTS[operation]
      for (const [from, n] of [[target, back] as const, [dead, died] as const]) {
        const other = await open(adapter, from)
        const got = await receiveAll(t, other, n * several)
        // What comes back does so without a close, which gives back what is held.
        if (from === target) await receiver.close(t.deadline())
        got.push(...(await other.receive(10, t.deadline(), 0)))
        eachOnce(
          got.map(({ id, deliveryCount, deadLetter }) => [id, deliveryCount, deadLetter?.attempts].join()),
          n === 0 ? [] : held.map(({ id }, i) => [id, counted, died === 0 ? undefined : i + 1].join()),
          `${operation}, ${from === dead ? 'dead' : 'back'}`,
        )
      }
    }
  })

  item('missing', 'a subscription that does not exist is MQ_QUEUE_NOT_FOUND, and is not made', async (t) => {
    const adapter = await t.connected()
    const { topic } = await subscribed(t, adapter, t.name('topic'), 's')
    const target = { topic, subscription: 'missing' }
    const calls: Record<string, () => Promise<unknown>> = {
      open: () => open(adapter, target),
      size: () => adapter.size(target),
      purge: () => adapter.purge(target),
      async publish() {
        const [outcome] = await adapter.publish([outbound(target)], t.deadline())
        assert.ok(outcome?.ok === false, 'it was accepted')
        assert.equal(outcome.certainty, 'not-stored')
        throw outcome.error
      },
      // Last, and not made by any of them.
      'open again': () => open(adapter, target),
    }
    for (const [name, call] of Object.entries(calls)) {
      const error: unknown = await call().then(
        () => assert.fail(`${name} resolved`),
        (reason: unknown) => reason,
      )
      if (error instanceof assert.AssertionError) throw error
      assert.equal(adapter.classify(error).code, 'MQ_QUEUE_NOT_FOUND', name)
    }
    await adapter.remove(target)
  })

  item('dots', 'dots in names do not make one of two, be they subscriptions or a queue', async (t) => {
    const adapter = await t.connected()
    const name = t.name('topic')
    const queue = `${name}.b.c`
    await adapter.declare({ queue }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const targets: readonly Target[] = [
      await subscribed(t, adapter, name, 'b.c'),
      await subscribed(t, adapter, `${name}.b`, 'c'),
      { queue },
    ]
    const messages = targets.map((target) => outbound('topic' in target ? { topic: target.topic } : target))
    for (const message of messages) await adapter.publish([message], t.deadline())
    for (const [i, target] of targets.entries()) {
      const receiver = await open(adapter, target)
      const got = await receiveAll(t, receiver, 1)
      got.push(...(await receiver.receive(10, t.deadline(), 0)))
      assert.deepEqual(
        got.map(({ id }) => id),
        [messages[i]?.id],
        JSON.stringify(target),
      )
      settled(await receiver.ack(got), 1)
      await receiver.close(t.deadline())
    }
  })

  item(
    'delay-punctual',
    'what is delayed to a topic, or retried, comes when it is due, and not long after',
    async (t) => {
      const adapter = await t.connected()
      const target = await subscribed(t, adapter, t.name('topic'), 's')
      const receiver = await open(adapter, target)
      const delayMs = 2000
      let took = Infinity
      // The best of some: a stall of this machine is not the broker's.
      for (let tries = 0; tries < 3 && took > delayMs + MOST_LATE_MS; tries++) {
        const startedAt = t.now()
        await adapter.publish([outbound({ topic: target.topic }, { delayMs })], t.deadline())
        const got = await receiveAll(t, receiver, 1)
        took = t.now() - startedAt
        assert.ok(took >= delayMs - 2, `came after ${took} ms`)
        const retriedAt = t.now()
        settled(await receiver.retry(got, delayMs), 1)
        const again = await receiveAll(t, receiver, 1)
        const tookAgain = t.now() - retriedAt
        assert.ok(tookAgain >= delayMs - 2, `came again after ${tookAgain} ms`)
        took = Math.max(took, tookAgain)
        settled(await receiver.ack(again), 1)
      }
      assert.ok(took <= delayMs + MOST_LATE_MS, `at best after ${took} ms`)
    },
  )

  item('ordered', 'a subscription of an ordered kind keeps the order of each key', async (t) => {
    const queue = await t.connect({ defaultQueueConfig: { ordered: true, partitions: 1 } })
    const topic = t.name('topic')
    const retry = { maxRetries: 1, delayMs: 100, backoff: 'fixed', jitter: 0 } as const
    const runs: unknown[] = []
    await queue.subscribe(
      topic,
      's',
      ({ body, deliveryCount }) => {
        runs.push(body)
        if (body === 0 && deliveryCount === 0) throw new Error('not yet')
      },
      { concurrency: 4, retry },
    )
    for (const body of [0, 1, 2]) await queue.publish(topic, body, { key: 'k' })
    await t.until(() => runs.length === 4, 'all handled')
    assert.deepEqual(runs, [0, 0, 1, 2])
  })

  item('priority', 'a subscription with priorities gives the highest first', async (t) => {
    if (t.capabilities.priorityLevels <= 1) return t.refused('priorityLevels')
    const queue = await t.connect({ defaultQueueConfig: { maxPriority: 5 } })
    const topic = t.name('topic')
    const ref = subscription(topic, 's')
    await queue.createSubscription(topic, 's')
    for (const priority of [1, 5, 2, 4, 3]) await queue.publish(topic, priority, { priority })
    await t.until(async () => (await queue.getQueueSize(ref)) === 5, 'size 5')
    const bodies = (await drain(queue, ref)).map(({ body }) => body)
    assert.deepEqual(bodies, [5, 4, 3, 2, 1])
  })
})
