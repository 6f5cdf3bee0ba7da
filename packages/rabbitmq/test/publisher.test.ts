import { describe, expect, it } from '@jest/globals'
import { connected, declare, fresh, live, outbound, plainSettings, until } from '@mq/conformance/fixtures'
import { AdapterError, type BrokerAdapter, type PublishOutcome } from '@mq/core/adapter'
import { rabbitmqAdapter } from '../src/index.ts'
import { type Publisher, storeText } from '../src/publisher.ts'
import { adapter, broker } from './bench.ts'

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

describe('a queue with a limit that has no leader', () => {
  it('is not called full: what is sent to it may be sent again', async () => {
    const queue = await declare(adapter, fresh(), { maxLength: 5 })
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    const server = `quorum_queues, {list_to_atom("%2F_${queue.queue}"), node()}`
    await broker.run('eval', `ra:stop_server(${server}).`)
    // Who has sent to it before goes on waiting for the leader that it knows.
    const other = rabbitmqAdapter({ url: broker.url })
    await connected(other)
    await declare(other, queue.queue, { maxLength: 5 })
    const [outcome] = await other.publish([outbound(queue)], live)
    expect(outcome).toMatchObject({
      error: { code: 'MQ_UNAVAILABLE', retryable: true },
      certainty: 'unknown',
    })
    await broker.run('eval', `ra:restart_server(${server}).`)
    await until(async () => (await other.publish([outbound(queue)], live))[0]?.ok === true)
    await other.disconnect(live)
  })

  it('is full when it says so and holds messages', async () => {
    const queue = await declare(adapter, fresh(), { maxLength: 2 })
    // It lets some more in before it says so.
    let outcome: PublishOutcome | undefined
    await until(async () => {
      ;[outcome] = await adapter.publish([outbound(queue)], live)
      return outcome?.ok === false
    })
    expect(outcome).toMatchObject({ error: { code: 'MQ_QUEUE_FULL', retryable: false } })
  })
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
