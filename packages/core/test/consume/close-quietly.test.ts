import { describe, expect, it } from '@jest/globals'
import { CLOSE_MS, closingMs } from '../../src/consume/close-quietly.ts'
import { memoryAdapter } from '../../src/memory/adapter.ts'

const { capabilities } = memoryAdapter()
const deferred = { ...capabilities, settle: 'deferred' as const }

describe('closing a receiver', () => {
  it.each([
    [-1, CLOSE_MS],
    [1_000, CLOSE_MS],
    [20_000, 20_000],
    [Infinity, 30_000],
  ])('that tells by then what was settled takes, with %d ms left to stop, %d ms at most', (left, ms) => {
    expect(closingMs(deferred, left)).toBe(ms)
  })

  it('that has told it before does not need them', () => {
    expect(closingMs(capabilities, 20_000)).toBe(CLOSE_MS)
  })
})
