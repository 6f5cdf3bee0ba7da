import { describe, expect, it } from '@jest/globals'
import { listenersOf } from '../listeners-of.ts'
import { atMost, untilAborted } from '../../src/adapter/until-aborted.ts'

const never = (): Promise<never> => new Promise<never>(() => undefined)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const why = new Error('enough')

describe('untilAborted', () => {
  it('answers what the call answers, and waits for its signal no longer', async () => {
    const { signal } = new AbortController()
    expect(await untilAborted(Promise.resolve(1), signal)).toBe(1)
    await expect(untilAborted(Promise.reject(why), signal)).rejects.toBe(why)
    expect(listenersOf(signal)).toBe(0)
  })

  it('rejects with the reason once the signal aborts, while the call goes on', async () => {
    const controller = new AbortController()
    const waiting = untilAborted(never(), controller.signal)
    controller.abort(why)
    await expect(waiting).rejects.toBe(why)
    await expect(untilAborted(never(), controller.signal)).rejects.toBe(why)
  })

  it('prefers an answer that is there already', async () => {
    expect(await untilAborted(Promise.resolve(1), AbortSignal.abort(why))).toBe(1)
  })

  it('lets a call fail unheard after the abort', async () => {
    let fail = (_error: Error): void => undefined
    const call = new Promise<never>((_, reject) => (fail = reject))
    const unheard: unknown[] = []
    const hear = (error: unknown): void => void unheard.push(error)
    process.on('unhandledRejection', hear)
    try {
      await expect(untilAborted(call, AbortSignal.abort(why))).rejects.toBe(why)
      fail(new Error('late'))
      await turn()
    } finally {
      process.off('unhandledRejection', hear)
    }
    expect(unheard).toEqual([])
  })
})

describe('atMost', () => {
  it('waits for the end, however, or for the signal', async () => {
    const { signal } = new AbortController()
    let over = false
    await atMost(
      turn().then(() => (over = true)),
      signal,
    )
    expect(over).toBe(true)
    await atMost(Promise.reject(why), signal)
    await atMost(never(), AbortSignal.abort(why))
  })
})
