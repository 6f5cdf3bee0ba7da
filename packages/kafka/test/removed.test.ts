import { describe, expect, it } from '@jest/globals'
import { failure, fresh, live, outbound } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { consuming, declaration, onServer, take } from './support.ts'

// Of its own: what others declare is known as well.
const { connect } = onServer({ fresh: true })

/** Sizes, added up, of all maps and sets that are made while `make` runs. */
async function keptBy<T>(make: () => Promise<T>): Promise<[T, () => number]> {
  const all: { readonly size: number }[] = []
  const { Map, Set } = globalThis
  globalThis.Map = class<K, V> extends Map<K, V> {
    constructor(entries?: Iterable<readonly [K, V]> | null) {
      super(entries)
      all.push(this)
    }
  }
  globalThis.Set = class<T> extends Set<T> {
    constructor(values?: Iterable<T> | null) {
      super(values)
      all.push(this)
    }
  }
  try {
    return [await make(), () => all.reduce((sum, { size }) => sum + size, 0)]
  } finally {
    Object.assign(globalThis, { Map, Set })
  }
}

async function use(adapter: BrokerAdapter): Promise<void> {
  const [queue, topic] = [fresh(), fresh()]
  const dead = { queue: `${queue}.dlq` }
  const subscription = { topic, subscription: fresh('s') }
  await adapter.declare({ queue }, declaration)
  await adapter.declare(dead, declaration)
  await adapter.declare({ topic }, declaration)
  await adapter.declare(subscription, { ...declaration, pattern: '#' })
  await adapter.publish([outbound({ queue })], live)
  await adapter.publish([outbound({ topic })], live)
  const receivers = [await consuming(adapter, { queue }), await consuming(adapter, subscription)]
  for (const receiver of receivers) {
    expect(await receiver.deadLetter(await take(receiver, 1), [failure()], dead)).toEqual(['settled'])
    await receiver.close(live)
  }
  await adapter.remove(subscription)
  for (const target of [{ topic }, { queue }, dead]) await adapter.remove(target)
}

describe('a queue, a topic and a subscription that are removed', () => {
  it('are forgotten', async () => {
    const [adapter, size] = await keptBy(() => connect())
    await use(adapter)
    const before = size()
    for (let n = 0; n < 3; n++) await use(adapter)
    expect(size()).toBe(before)
  }, 120_000)
})
