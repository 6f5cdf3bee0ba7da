import { describe, expect, it } from '@jest/globals'
import { allowance } from '../../src/proxy/faults.ts'

describe('what may pass the proxy', () => {
  it.each([
    ['everything without a limit', 500, Infinity, undefined, { bytes: 500, pauseMs: 0, cut: false }],
    ['a twentieth of a second at a time', 500, 1000, undefined, { bytes: 50, pauseMs: 50, cut: false }],
    ['at least one byte', 500, 2, undefined, { bytes: 1, pauseMs: 500, cut: false }],
    ['all of a small rest', 10, 1000, undefined, { bytes: 10, pauseMs: 10, cut: false }],
    ['up to the cut', 500, Infinity, 7, { bytes: 7, pauseMs: 0, cut: true }],
    ['less than the cut', 5, Infinity, 7, { bytes: 5, pauseMs: 0, cut: false }],
    ['throttled up to the cut', 500, 1000, 50, { bytes: 50, pauseMs: 50, cut: true }],
  ])('is %s', (_name, length, bytesPerSecond, remaining, expected) => {
    expect(allowance(length, { bytesPerSecond, remaining })).toEqual(expected)
  })
})
