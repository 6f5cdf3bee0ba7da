import { describe, expect, it } from '@jest/globals'
import { HealthWatch } from '../../src/manage/health-watch.ts'
import { recordingLogger } from '../middleware/recording-logger.ts'

/** A clock whose one timer fires when told. */
function handClock() {
  const clock = {
    due: null as { fn: () => void; ms: number } | null,
    now: () => 0,
    setTimeout: (fn: () => void, ms: number) => (clock.due = { fn, ms }),
    clearTimeout: (timer: unknown) => {
      if (timer === clock.due) clock.due = null
    },
  }
  return clock
}

function watching(intervalMs = 1000) {
  const clock = handClock()
  const { logger, lines } = recordingLogger()
  const state: Record<string, { healthy: boolean; error?: string }> = {}
  const tools = {
    clock,
    lines,
    state,
    check: async () => ({ ...state }),
    /** Lets the interval pass and the check end. */
    async pass() {
      const due = clock.due
      clock.due = null
      due?.fn()
      await new Promise(setImmediate)
    },
  }
  const watch = new HealthWatch({ intervalMs, clock, logger, check: () => tools.check() })
  return { watch, ...tools, tools }
}

const levels = (lines: { level: string; fields: Record<string, unknown> }[]) =>
  lines.map(({ level, fields }) => `${level} ${String(fields['queue'])}`)

describe('HealthWatch', () => {
  it('logs what became unhealthy and what became healthy again, once each', async () => {
    const { watch, lines, state, pass } = watching()
    watch.start()
    state['a'] = { healthy: true }
    state['b'] = { healthy: true }
    await pass()
    expect(lines).toEqual([])
    state['b'] = { healthy: false, error: 'no answer' }
    await pass()
    await pass()
    expect(levels(lines)).toEqual(['warn b'])
    expect(lines[0]?.fields['error']).toBe('no answer')
    state['b'] = { healthy: true }
    await pass()
    await pass()
    expect(levels(lines)).toEqual(['warn b', 'info b'])
  })

  it('starts the next wait when a check is over, of the length it was given', async () => {
    const { watch, clock, tools, pass } = watching(30_000)
    let finish: () => void = () => undefined
    tools.check = () => new Promise((resolve) => (finish = () => resolve({})))
    watch.start()
    expect(clock.due?.ms).toBe(30_000)
    await pass()
    expect(clock.due).toBeNull()
    finish()
    await new Promise(setImmediate)
    expect(clock.due?.ms).toBe(30_000)
  })

  it('goes on after a check that failed', async () => {
    const { watch, clock, lines, tools, pass } = watching()
    tools.check = async () => Promise.reject(new Error('broken'))
    watch.start()
    await pass()
    expect(lines).toMatchObject([{ level: 'error' }])
    expect(clock.due).not.toBeNull()
  })

  it('says nothing and waits no more once it is stopped, also amid a check', async () => {
    const { watch, clock, lines, tools, pass } = watching()
    let finish: () => void = () => undefined
    tools.check = () => new Promise((resolve) => (finish = () => resolve({ a: { healthy: false } })))
    watch.start()
    await pass()
    watch.stop()
    finish()
    await new Promise(setImmediate)
    expect([lines, clock.due]).toEqual([[], null])
    watch.start()
    watch.stop()
    expect(clock.due).toBeNull()
  })

  it('does nothing with an interval of 0', () => {
    const { watch, clock } = watching(0)
    watch.start()
    expect(clock.due).toBeNull()
  })
})
