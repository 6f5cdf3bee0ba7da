import assert from 'node:assert/strict'
import { types } from 'node:util'
import type { Message, MessageQueue } from '@mq/core'
import type { TestContext } from '../context.ts'
import { group } from '../item.ts'

/** Small, fast, and the same everywhere: https://en.wikipedia.org/wiki/Xorshift */
function generator(seed: number): (below: number) => number {
  let state = seed | 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

interface Held {
  readonly message: Message
  readonly owner: number
}

const STEPS = 150

/** What a queue should hold, and nothing else: no order, no time but that of delays. */
class Model {
  readonly ready = new Map<string, number>()
  readonly delayed = new Map<string, { count: number; dueAt: number }>()
  readonly held: Held[] = []
  readonly dead = new Set<string>()
  readonly gone = new Set<string>()

  /** One that came: its count, if it may come by now. A delayed one that is just due may come, and need not yet. */
  take(id: string, now: number): number | undefined {
    const ready = this.ready.get(id)
    const delayed = this.delayed.get(id)
    if (ready === undefined && (delayed === undefined || delayed.dueAt > now)) return undefined
    this.ready.delete(id)
    this.delayed.delete(id)
    return ready ?? delayed?.count
  }

  /** Delayed messages that have been due since `now` must come. */
  settle(now: number): void {
    for (const [id, { count, dueAt }] of this.delayed) {
      if (dueAt > now) continue
      this.delayed.delete(id)
      this.ready.set(id, count)
    }
  }
}

async function play(t: TestContext, seed: number, trail: string[]): Promise<void> {
  const random = generator(seed)
  const model = new Model()
  const name = t.name('model')
  const connections: MessageQueue[] = [await t.connect(), await t.connect()]
  const at = (i: number) => connections[i] as MessageQueue
  await at(0).createQueue({ name })

  async function receive(i: number): Promise<void> {
    const certain = model.ready.size
    const message = await at(i).receive(name)
    if (message === null) return assert.equal(certain, 0, 'nothing came although something is ready')
    const count = model.take(message.id, t.now() + 2)
    assert.ok(count !== undefined, `${message.id} came although it is not ready`)
    assert.equal(message.deliveryCount, count, 'deliveryCount')
    model.held.push({ message: message, owner: i })
  }

  async function settleOne(how: 'ack' | 'requeue' | 'delay' | 'reject'): Promise<void> {
    if (model.held.length === 0) return
    const [{ message, owner }] = model.held.splice(random(model.held.length), 1) as [Held]
    const queue = at(owner)
    const { id, deliveryCount } = message
    if (how === 'ack') {
      await queue.acknowledge(message)
      model.gone.add(id)
    } else if (how === 'requeue') {
      await queue.reject(message, { requeue: true })
      model.ready.set(id, deliveryCount + 1)
    } else if (how === 'delay') {
      const delayMs = 20 + random(60)
      const rejectedAt = t.now()
      await queue.reject(message, { requeue: true, delayMs })
      model.delayed.set(id, { count: deliveryCount + 1, dueAt: rejectedAt + delayMs })
    } else {
      await queue.reject(message)
      model.dead.add(id)
    }
  }

  async function reconnect(i: number): Promise<void> {
    await at(i).disconnect()
    for (const { message, owner } of model.held.splice(0)) {
      if (owner === i) model.ready.set(message.id, message.deliveryCount)
      else model.held.push({ message, owner })
    }
    connections[i] = await t.connect()
  }

  for (let step = 0; step < STEPS; step++) {
    const dice = random(100)
    const i = random(2)
    if (dice < 30) {
      trail.push(`send ${i}`)
      model.ready.set(await at(i).send(name, step), 0)
    } else if (dice < 60) {
      trail.push(`receive ${i}`)
      await receive(i)
    } else if (dice < 95) {
      const how = (['ack', 'requeue', 'delay', 'reject'] as const)[random(4)] ?? 'ack'
      trail.push(how)
      await settleOne(how)
    } else if (dice < 98) {
      trail.push('wait')
      await t.quiet(30)
    } else {
      trail.push(`reconnect ${i}`)
      await reconnect(i)
    }
    model.settle(t.now() - 1000)
  }

  trail.push('finish')
  while (model.held.length > 0) await settleOne('ack')
  const expected = new Set([...model.ready.keys(), ...model.delayed.keys()])
  while (expected.size > 0) {
    const message = await at(0).receive(name, { timeoutMs: t.patienceMs })
    assert.ok(message !== null, `lost: ${[...expected].join(', ')}`)
    assert.ok(expected.delete(message.id), `${message.id} came although it was settled`)
    const count = model.ready.get(message.id) ?? model.delayed.get(message.id)?.count
    assert.equal(message.deliveryCount, count, 'deliveryCount')
    await at(0).acknowledge(message)
  }
  assert.equal((await at(0).receive(name))?.id ?? null, null, 'something came that should be gone')
  const dead = new Set<string>()
  for (;;) {
    const message = await at(1).receive(`${name}.dlq`)
    if (message === null) break
    assert.ok(!dead.has(message.id), 'dead-lettered twice')
    dead.add(message.id)
    await at(1).acknowledge(message)
  }
  assert.deepEqual([...dead].sort(), [...model.dead].sort(), 'dead letters')
}

export const model = group('model', (item) => {
  item(
    'random',
    'random commands do what a small model says',
    async (t) => {
      const seed = t.harness.seed ?? Math.floor(Math.random() * 2 ** 31)
      const trail: string[] = []
      try {
        await play(t, seed, trail)
      } catch (error) {
        const text = types.isNativeError(error) ? error.message : String(error)
        throw new Error(
          `seed ${seed}, step ${trail.length}: ${text}\nlast steps: ${trail.slice(-12).join(', ')}`,
          { cause: error },
        )
      }
    },
    { slowness: 2 },
  )
})
