import { describe, expect, it } from '@jest/globals'
import { RunClock } from '../../src/consume/run-clock.ts'
import { VirtualClock } from '../memory/virtual-clock.ts'

interface Run {
  readonly startedAt: number
  ended: boolean
}

describe('RunClock', () => {
  it('has one timer, although each run that it ends makes way for another', async () => {
    const clock = new VirtualClock()
    let over = 0
    const start = () => runs.started({ startedAt: clock.monotonic(), ended: false })
    const runs = new RunClock<Run>(clock, 100, (run) => {
      run.ended = true
      over++
      start()
    })
    start()
    await clock.advance(50)
    start()
    await clock.advance(1000)
    expect(over).toBe(20)
    expect(clock.timers).toBe(1)
    runs.stop()
    expect(clock.timers).toBe(0)
  })

  it('looks at each of many that run a few times, and keeps none for long that ended', async () => {
    const clock = new VirtualClock()
    let looks = 0
    const runs = new RunClock<Run>(clock, 100, () => undefined)
    const run = (ended: boolean) => ({
      startedAt: clock.monotonic(),
      get ended() {
        looks++
        return ended
      },
    })
    for (let i = 0; i < 20_000; i++) runs.started(run(false))
    expect(looks).toBeLessThan(100_000)
    looks = 0
    for (let i = 0; i < 20_000; i++) runs.started(run(true))
    expect(looks).toBeLessThan(200_000)
    runs.stop()
  })

  it('ends a run when its time is up, and none that ended by itself', async () => {
    const clock = new VirtualClock()
    const over: number[] = []
    const runs = new RunClock<Run & { id: number }>(clock, 100, (run) => {
      run.ended = true
      over.push(run.id)
    })
    const all = [0, 1, 2, 3].map((id) => ({ id, startedAt: 0, ended: false }))
    for (const run of all) {
      run.startedAt = clock.monotonic()
      runs.started(run)
      await clock.advance(10)
    }
    ;(all[1] as Run).ended = true
    await clock.advance(60)
    expect(over).toEqual([0])
    await clock.advance(20)
    expect(over).toEqual([0, 2])
    await clock.advance(10)
    expect(over).toEqual([0, 2, 3])
    expect(clock.timers).toBe(0)
  })
})
