import { describe, expect, it } from '@jest/globals'
import { ErrorCode, type SettleOutcome } from '../../src/adapter/index.ts'
import { connectedBench, lastOf, refusal, until, type EngineBench } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'
import type { Message } from '../../src/message/message.ts'
import { resolveQueue } from '../../src/message/typed.ts'

describe('the leases of a consumer', () => {
  it('are renewed again in time although one renewal hangs', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => new Promise(() => undefined))
    receiver.give(delivery('a'))
    await until(() => consumer.stats().running === 1)
    const renewedAt: number[] = []
    const startedAt = bench.clock.now()
    bench.adapter.onSettle = () => {
      renewedAt.push(bench.clock.now() - startedAt)
      return renewedAt.length === 1 ? new Promise(() => undefined) : 'settled'
    }
    await bench.clock.advance(29_000)
    expect(renewedAt).toEqual([10_000, 20_000])
    void consumer.stop({ timeoutMs: 0 })
    await bench.clock.advance(60_000)
    expect(bench.clock.timers).toBe(0)
  })
})

describe('extend', () => {
  async function received(given?: EngineBench) {
    const bench = given ?? (await connectedBench())
    const call = bench.receiving.receive(resolveQueue('q'), { timeoutMs: 1000 })
    await until(() => bench.adapter.receivers.length > 0)
    lastOf(bench.adapter.receivers).give(delivery('a'))
    const message = (await call) as Message
    const answer = (outcome: SettleOutcome | Promise<SettleOutcome>) => {
      bench.adapter.onSettle = () => outcome
    }
    return { ...bench, message, answer, extend: () => bench.receiving.extend(message, 60_000) }
  }

  it.each([
    ['answers an error', async () => ({ error: new Error('busy') })],
    ['fails', () => Promise.reject(new Error('busy'))],
  ])('rejects when the broker %s, and may be tried again', async (_name, outcome) => {
    const { answer, extend, receiving, message } = await received()
    answer(outcome())
    const error = await refusal(extend())
    expect(error).toMatchObject({ code: ErrorCode.UNKNOWN, cause: { message: 'busy' } })
    expect(error.message).toBe('Message a could not be extended: busy')
    answer('settled')
    await extend()
    await receiving.acknowledge(message)
  })

  it('rejects when the broker does not answer', async () => {
    const { answer, extend, clock } = await received()
    answer(new Promise(() => undefined))
    const refused = refusal(extend())
    await clock.advance(30_000)
    expect(await refused).toMatchObject({ code: ErrorCode.TIMEOUT })
  })

  it('rejects when the adapter answers nothing at all', async () => {
    const bench = await connectedBench()
    const { open } = bench.adapter
    bench.adapter.open = async (...args) => {
      const receiver = await open(...args)
      return { ...receiver, renew: async () => undefined as never }
    }
    const { extend } = await received(bench)
    expect((await refusal(extend())).message).toContain('gave no outcome')
  })

  it('rejects when the message belongs to somebody else', async () => {
    const { answer, extend } = await received()
    answer('lost')
    expect(await refusal(extend())).toMatchObject({ code: ErrorCode.LEASE_LOST })
  })
})
