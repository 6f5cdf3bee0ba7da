import { describe, expect, it } from '@jest/globals'
import { connectedBench, lastOf, until } from '../engine-bench.ts'
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
