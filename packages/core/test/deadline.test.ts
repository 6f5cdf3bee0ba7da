import { describe, expect, it } from '@jest/globals'
import { systemClock, type Clock } from '../src/adapter/clock.ts'
import { ErrorCode } from '../src/error-codes.ts'
import { pause, withDeadline } from '../src/deadline.ts'
import { SpareSignals } from '../src/spare-signals.ts'
import { deferred, refusal } from './engine-bench.ts'
import { settled, VirtualClock } from './memory/virtual-clock.ts'

const NEVER = () => new Promise<string>(() => undefined)

describe('withDeadline', () => {
  it('answers what the operation answers, and leaves no timer', async () => {
    const clock = new VirtualClock()
    await expect(withDeadline(clock, 100, 'it', async () => 'result')).resolves.toBe('result')
    await expect(withDeadline(clock, 100, 'it', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(clock.timers).toBe(0)
  })

  it('rejects in time when the operation hangs, and aborts its signal', async () => {
    const clock = new VirtualClock()
    let signal: AbortSignal | undefined
    const failed = refusal(
      withDeadline(clock, 100, 'opening it', (given) => {
        signal = given
        return NEVER()
      }),
    )
    await clock.advance(99)
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    expect(await failed).toMatchObject({
      code: ErrorCode.TIMEOUT,
      message: 'opening it took longer than 100 ms',
    })
    expect(signal?.aborted).toBe(true)
  })

  it('takes what an operation that heeds its signal answers', async () => {
    const clock = new VirtualClock()
    const result = withDeadline(
      clock,
      100,
      'it',
      (signal) => new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('part'))),
    )
    await clock.advance(100)
    await expect(result).resolves.toBe('part')
  })

  it('hands a late result over', async () => {
    const clock = new VirtualClock()
    const gate = deferred<string>()
    const late: string[] = []
    const failed = refusal(
      withDeadline(
        clock,
        100,
        'it',
        () => gate.promise,
        (result) => late.push(result),
      ),
    )
    await clock.advance(100)
    await failed
    gate.resolve('late')
    await settled()
    expect(late).toEqual(['late'])
  })

  it('ends each call by itself, though those that begin together share a timer and a signal', async () => {
    const clock = new VirtualClock()
    const gate = deferred<string>()
    const signals: AbortSignal[] = []
    const heeding = (signal: AbortSignal) =>
      new Promise<string>((_, reject) => {
        signals.push(signal)
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    const answered = withDeadline(clock, 100, 'one', (signal) => {
      signals.push(signal)
      return gate.promise
    })
    const hanging = refusal(withDeadline(clock, 100, 'two', heeding))
    const longer = refusal(withDeadline(clock, 200, 'three', heeding))
    expect(clock.timers).toBe(2)
    gate.resolve('result')
    await expect(answered).resolves.toBe('result')
    await clock.advance(50)
    const later = refusal(withDeadline(clock, 100, 'four', NEVER))
    await clock.advance(50)
    expect(await hanging).toMatchObject({ message: 'two took longer than 100 ms' })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false])
    await clock.advance(50)
    expect(await later).toMatchObject({ message: 'four took longer than 100 ms' })
    await clock.advance(50)
    expect(await longer).toMatchObject({ message: 'three took longer than 200 ms' })
    expect(clock.timers).toBe(0)
  })

  it('gives a signal that did not abort to the next call of its kind, and to no other', async () => {
    const clock = new VirtualClock()
    const spares = new SpareSignals()
    const signals: AbortSignal[] = []
    const call = (operation: () => Promise<string>, from: SpareSignals | undefined) =>
      withDeadline(
        clock,
        100,
        'it',
        (signal) => {
          signals.push(signal)
          return operation()
        },
        undefined,
        from,
      )
    await call(async () => 'first', spares)
    await clock.advance(60)
    await call(async () => 'of another kind', undefined)
    const hanging = refusal(call(NEVER, spares))
    await clock.advance(99)
    expect(signals[2]?.aborted).toBe(false)
    await clock.advance(1)
    expect(await hanging).toMatchObject({ code: ErrorCode.TIMEOUT })
    await call(async () => 'after one that took too long', spares)
    expect(signals.map((signal) => signals.indexOf(signal))).toEqual([0, 1, 0, 3])
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false, true, false])
    expect(clock.timers).toBe(0)
  })

  it('uses no signal for ever: it may keep a little of each call', async () => {
    const clock = new VirtualClock()
    const spares = new SpareSignals()
    const signals = new Set<AbortSignal>()
    for (let n = 0; n < 3000; n++)
      await withDeadline(clock, 100, 'it', async (signal) => signals.add(signal), undefined, spares)
    expect(signals.size).toBe(4)
    const first = spares.take()
    let under = first
    for (let n = 0; n < 3000; n++) {
      const next = spares.take()
      spares.giveBack(under)
      under = next
    }
    const last = [under, ...Array.from({ length: 20 }, () => spares.take())]
    expect(last).not.toContain(first)
  })

  it('rejects when the operation throws at once, and leaves no timer', async () => {
    const clock = new VirtualClock()
    const failed = withDeadline(clock, 100, 'it', () => {
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(clock.timers).toBe(0)
  })
})

describe('pause', () => {
  it('waits so long, or until the signal aborts', async () => {
    const clock = new VirtualClock()
    const controller = new AbortController()
    let done = 0
    const waits = [pause(clock, 100, new AbortController().signal), pause(clock, 1000, controller.signal)]
    for (const wait of waits) void wait.then(() => done++)
    await clock.advance(100)
    expect(done).toBe(1)
    controller.abort()
    await settled()
    expect([done, clock.timers]).toEqual([2, 0])
    await pause(clock, 1000, controller.signal)
  })

  it('keeps the process alive meanwhile: the timers of the system do not', async () => {
    let handle: NodeJS.Timeout | undefined
    const clock: Clock = {
      ...systemClock,
      setTimeout: (fn, ms) => (handle = systemClock.setTimeout(fn, ms) as NodeJS.Timeout),
    }
    const controller = new AbortController()
    const wait = pause(clock, 60_000, controller.signal)
    expect(handle?.hasRef()).toBe(true)
    controller.abort()
    await wait
  })
})
