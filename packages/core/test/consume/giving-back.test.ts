import { describe, expect, it } from '@jest/globals'
import { connectedBench, deferred, lastOf, refusal, settled, until } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

/** A consumer whose handler never ends, with two messages more; the broker answers no `release`. */
async function unanswered() {
  const bench = await connectedBench()
  const signals: AbortSignal[] = []
  const consumed = await bench.consume((_message, { signal }) => {
    signals.push(signal)
    return new Promise((resolve) => signal.addEventListener('abort', resolve))
  })
  consumed.receiver.give(delivery('a'), delivery('b'), delivery('c'))
  await until(() => signals.length === 1)
  bench.adapter.onSettle = (kind) => (kind === 'release' ? new Promise(() => undefined) : 'settled')
  return { ...bench, ...consumed, signals }
}

describe('giving back that is not answered', () => {
  it('takes nothing from the time of the handlers, and does not hold up stop', async () => {
    const { clock, consumer, receiver, signals } = await unanswered()
    let stopped: unknown = null
    void consumer.stop({ timeoutMs: 2000 }).then((result) => (stopped = result))
    await until(() => receiver.settled.length > 0)
    expect(receiver.settled).toEqual([{ kind: 'release', ids: ['b', 'c'] }])
    await clock.advance(1999)
    expect(signals[0]?.aborted).toBe(false)
    await clock.advance(1)
    expect(signals[0]?.aborted).toBe(true)
    await clock.advance(10_000)
    expect(stopped).toEqual({ drained: false, abandoned: ['a'] })
    expect(receiver.closed).toBe(true)
  })

  it('does not keep a receiver that failed from being opened again', async () => {
    const { clock, adapter, consumer, receiver } = await unanswered()
    receiver.fail(new Error('channel closed'))
    await until(() => receiver.settled.length > 0)
    await clock.advance(6000)
    await until(() => adapter.receivers.length === 2)
    expect(lastOf(adapter.receivers).closed).toBe(false)
    void consumer.stop({ timeoutMs: 0 })
    await clock.advance(60_000)
  })
})

describe('a handler that is aborted by stop', () => {
  const untilAborted = (signal: AbortSignal) =>
    new Promise<never>((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(new Error('aborted'))),
    )

  /** Two messages: `slow` runs until it is aborted, the acknowledgement of `quick` is on its way. */
  async function stopping() {
    const bench = await connectedBench()
    const acknowledged = deferred()
    bench.adapter.onSettle = async (kind) => {
      if (kind === 'ack') await acknowledged.promise
      return 'settled' as const
    }
    const { consumer, receiver } = await bench.consume(
      ({ id }, { signal }) => (id === 'quick' ? null : untilAborted(signal)),
      { concurrency: 2, retry: { maxRetries: 0 } },
    )
    receiver.give(delivery('slow', { replyTo: 'reply:there', correlationId: 'c' }), delivery('quick'))
    await until(() => receiver.settled.length === 1)
    const stopped = consumer.stop({ timeoutMs: 0 })
    await until(() => consumer.stats().failed === 1)
    acknowledged.resolve()
    return { ...bench, receiver, result: await stopped }
  }

  it('has made no attempt, also while another message is still being acknowledged', async () => {
    const { result, receiver, engine } = await stopping()
    expect(result).toEqual({ drained: false, abandoned: ['slow'] })
    expect(receiver.settled).toEqual([
      { kind: 'ack', ids: ['quick'] },
      { kind: 'release', ids: ['slow'] },
    ])
    expect(engine.stats.messagesDeadLettered).toBe(0)
  })

  it('answers no request: it comes again', async () => {
    const { adapter } = await stopping()
    await settled()
    expect(adapter.published.flat()).toEqual([])
  })

  it('is told that the message is no more its own', async () => {
    const bench = await connectedBench()
    const extended: Promise<unknown>[] = []
    const { consumer, receiver } = await bench.consume(
      (_message, { signal, extend }) =>
        new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => {
            extended.push(refusal(extend(1000)))
            resolve()
          }),
        ),
    )
    receiver.give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    await consumer.stop({ timeoutMs: 0 })
    expect(await Promise.all(extended)).toMatchObject([{ code: 'MQ_LEASE_LOST' }])
    expect(receiver.settled).toEqual([{ kind: 'release', ids: ['a'] }])
  })
})
