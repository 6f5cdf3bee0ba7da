import { describe, expect, it } from '@jest/globals'
import { newMessageId } from '../../src/message/message-id.ts'

describe('newMessageId', () => {
  it('makes UUIDs in the form of version 4, all different', () => {
    const ids = Array.from({ length: 10_000 }, () => newMessageId())
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('draws anew after 256', () => {
    const starts = new Set(Array.from({ length: 1024 }, () => newMessageId().slice(0, -2)))
    expect(starts.size).toBeGreaterThanOrEqual(4)
    expect(starts.size).toBeLessThanOrEqual(5)
  })
})
