import { afterEach, beforeEach, expect, it, jest } from '@jest/globals'
import { createWaits } from '../src/waits.ts'

const DAY_MS = 86_400_000

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

it('a wait may be longer than those that Node has', () => {
  const call = jest.fn()
  createWaits().after(48 * DAY_MS, call)
  jest.advanceTimersByTime(48 * DAY_MS - 1)
  expect(call).not.toHaveBeenCalled()
  jest.advanceTimersByTime(1)
  expect(call).toHaveBeenCalledTimes(1)
  expect(jest.getTimerCount()).toBe(0)
})

it('what is stopped happens no more, and keeps no timer', () => {
  const call = jest.fn()
  const waits = createWaits()
  waits.after(5, call)
  waits.after(48 * DAY_MS, call)
  jest.advanceTimersByTime(30 * DAY_MS)
  expect(call).toHaveBeenCalledTimes(1)
  waits.stop()
  expect(jest.getTimerCount()).toBe(0)
  jest.advanceTimersByTime(30 * DAY_MS)
  expect(call).toHaveBeenCalledTimes(1)
})
