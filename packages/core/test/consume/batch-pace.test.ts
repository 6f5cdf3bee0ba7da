import { describe, expect, it } from '@jest/globals'
import type { HandlerOptions } from '../../src/consume/handler.ts'
import type { Message } from '../../src/message/message.ts'
import { connectedBench, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

async function batches(options: HandlerOptions) {
  const bench = await connectedBench()
  const seen: string[] = []
  const handler = (messages: Message[]) => void seen.push(messages.map(({ id }) => id).join(''))
  const consumed = await bench.consume(handler as never, options)
  return { ...bench, ...consumed, seen }
}

describe('a batch', () => {
  it('that needs the whole prefetch fills although messages trickle in', async () => {
    const { consumer, receiver, seen } = await batches({ batch: { size: 8, waitMs: 1000 }, prefetch: 8 })
    for (const [i, id] of [...'abcdefgh'].entries()) {
      receiver.give(delivery(id))
      await until(() => consumer.stats().buffered === i + 1 || seen.length > 0)
    }
    await until(() => seen.length > 0)
    expect(seen).toEqual(['abcdefgh'])
    await consumer.stop()
  })

  it('that fills runs as soon as the rate limit allows', async () => {
    const { clock, consumer, receiver, seen } = await batches({
      batch: { size: 2, waitMs: 1000 },
      rateLimit: { max: 1, perMs: 100 },
    })
    receiver.give(delivery('a'), delivery('b'))
    await until(() => seen.length === 1)
    receiver.give(delivery('c'))
    await until(() => consumer.stats().buffered === 1)
    receiver.give(delivery('d'))
    await until(() => consumer.stats().buffered === 2)
    await clock.advance(99)
    expect(seen).toEqual(['ab'])
    await clock.advance(1)
    expect(seen).toEqual(['ab', 'cd'])
    await consumer.stop()
    expect(clock.timers).toBe(0)
  })

  it('waits no longer than waitMs when the clock is set back', async () => {
    const { clock, consumer, receiver, seen } = await batches({ batch: { size: 3, waitMs: 1000 } })
    receiver.give(delivery('a'))
    await until(() => consumer.stats().buffered === 1)
    clock.set(-3_600_000)
    receiver.give(delivery('b'))
    await until(() => consumer.stats().buffered === 2)
    await clock.advance(1000)
    expect(seen).toEqual(['ab'])
    await consumer.stop()
  })
})
