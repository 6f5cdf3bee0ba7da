import { describe, expect, it } from '@jest/globals'
import { connected, fresh, live, plainSettings } from '@mq/conformance/fixtures'
import { AdapterError, type BrokerAdapter, type PublishOutcome } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'
import { type Publisher, storeText } from '../src/publisher.ts'
import { broker } from './bench.ts'

/** Answers to copies with these, the last again and again; counts the calls. */
function answering(...outcomes: readonly PublishOutcome[]): Publisher & { calls: number } {
  return {
    calls: 0,
    open: () => Promise.resolve(),
    publish: () => Promise.resolve([]),
    copies() {
      const outcome = outcomes[Math.min(this.calls++, outcomes.length - 1)]
      return Promise.resolve(outcome === undefined ? [] : [outcome])
    },
  }
}

const failed = (code: 'MQ_QUEUE_FULL' | 'MQ_CONNECTION'): PublishOutcome => ({
  ok: false,
  error: new AdapterError(code, 'no', { retryable: true }),
  certainty: 'unknown',
})

describe('what is written down', () => {
  it('is written again while its queue has no leader', async () => {
    const refusing = answering(failed('MQ_QUEUE_FULL'), failed('MQ_QUEUE_FULL'), { ok: true })
    await storeText(refusing, 'q', 'a', live)
    expect(refusing.calls).toBe(3)
  })

  it('is given up with the time that it has', async () => {
    const refusing = answering(failed('MQ_QUEUE_FULL'))
    const error = await storeText(refusing, 'q', 'a', AbortSignal.timeout(120)).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'MQ_UNAVAILABLE', retryable: true })
    expect((error as Error).message).toBe('the queue "q" has no leader')
    expect(refusing.calls).toBeGreaterThan(1)
  })

  it('is not written again for another reason', async () => {
    const refusing = answering(failed('MQ_CONNECTION'))
    await expect(storeText(refusing, 'q', 'a', live)).rejects.toMatchObject({ code: 'MQ_CONNECTION' })
    expect(refusing.calls).toBe(1)
  })

  it('is there of all who subscribe first at once, over several connections', async () => {
    const adapters: BrokerAdapter[] = []
    for (let n = 0; n < 4; n++) {
      const adapter = rabbitmqAdapter({ url: broker.url })
      await connected(adapter)
      adapters.push(adapter)
    }
    for (let round = 0; round < 5; round++) {
      const topic = fresh('topic')
      const names = Array.from({ length: 24 }, (_, n) => `s${n}`)
      const declared = await Promise.allSettled(
        names.map(async (subscription, n) => {
          const declaration = { settings: plainSettings, pattern: '#', ifExists: 'take' } as const
          await adapters[n % 4]?.declare({ topic, subscription }, declaration)
        }),
      )
      expect(declared.filter(({ status }) => status === 'rejected')).toEqual([])
    }
    await Promise.all(adapters.map((adapter) => adapter.disconnect(live)))
  })
})
