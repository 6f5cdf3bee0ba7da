import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { BrokerAdapter, OutboundMessage } from '../../src/adapter/index.ts'
import {
  bench,
  consume,
  declare,
  disconnectAll,
  message,
  NEVER,
  publish,
  Q,
  take,
  type Bench,
} from './fixture.ts'
import { settled } from './virtual-clock.ts'

afterEach(disconnectAll)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const DAY = 24 * 3600 * 1000
const ROUNDS = 100
const EACH = 100

/** How many bodies are still held somewhere after `use` of 10,000 messages. */
async function kept(
  settings: Parameters<typeof declare>[1],
  make: (i: number, all: Bench) => Partial<OutboundMessage>,
  use: (adapter: BrokerAdapter, all: Bench) => Promise<void>,
): Promise<number> {
  const all = await bench()
  await declare(all.adapter, settings)
  const bodies: WeakRef<Uint8Array>[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const batch = Array.from({ length: EACH }, (_, i) => message(String(i), make(round * EACH + i, all)))
    for (const { body } of batch) bodies.push(new WeakRef(body))
    await publish(all.adapter, ...batch)
    batch.length = 0
    await use(all.adapter, all)
  }
  await settled()
  collect()
  return bodies.filter((body) => body.deref() !== undefined).length
}

const acknowledge = async (adapter: BrokerAdapter): Promise<void> => {
  const receiver = await consume(adapter)
  await receiver.ack(await take(receiver))
  await receiver.close(NEVER)
}

describe('what was settled takes no room', () => {
  it('after an acknowledgement', async () => {
    expect(await kept({}, () => ({}), acknowledge)).toBeLessThan(300)
  })

  it('although it would have expired much later', async () => {
    expect(await kept({}, (_, { clock }) => ({ expiresAt: clock.now() + DAY }), acknowledge)).toBeLessThan(
      2500,
    )
  })

  it.each(['acknowledged', 'purged'] as const)(
    'although all of it waited first, until it was %s',
    async (how) => {
      const all = await bench()
      await declare(all.adapter)
      const bodies: WeakRef<Uint8Array>[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const batch = Array.from({ length: EACH }, (_, i) =>
          message(`${round}.${i}`, { expiresAt: all.clock.now() + DAY }),
        )
        bodies.push(...batch.map(({ body }) => new WeakRef(body)))
        await publish(all.adapter, ...batch)
      }
      if (how === 'purged') expect(await all.adapter.purge(Q)).toBe(ROUNDS * EACH)
      else for (let round = 0; round < ROUNDS; round++) await acknowledge(all.adapter)
      await settled()
      collect()
      expect(bodies.filter((body) => body.deref() !== undefined).length).toBeLessThan(1_500)
    },
  )

  it('on an ordered queue that drops its oldest', async () => {
    const settings = { ordered: true, maxLength: 1000, overflow: 'drop-oldest' as const }
    expect(await kept(settings, (i) => ({ key: String(i % 500) }), acknowledge)).toBeLessThan(2500)
  })

  it('when it expires behind a message that nobody takes', async () => {
    const left = await kept(
      {},
      (i, { clock }) => (i === 0 ? {} : { expiresAt: clock.now() + 10 }),
      async (adapter, { clock }) => {
        await clock.advance(10)
        expect(await adapter.size(Q)).toBe(1)
      },
    )
    expect(left).toBeLessThan(2500)
  })
})
