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
})
