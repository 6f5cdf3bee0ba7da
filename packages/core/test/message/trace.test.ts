import { describe, expect, it } from '@jest/globals'
import { formatTraceparent, newSpanId, newTraceId, parseTraceparent } from '../../src/message/trace.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

describe('traceparent', () => {
  it('is read back as written', () => {
    expect(parseTraceparent(formatTraceparent({ traceId, spanId }))).toEqual({
      traceId,
      spanId,
      traceFlags: 1,
    })
  })

  it('keeps the flags that are defined', () => {
    expect(formatTraceparent({ traceId, spanId, traceFlags: 0 })).toMatch(/-00$/)
    expect(parseTraceparent(`00-${traceId}-${spanId}-00`)?.traceFlags).toBe(0)
    expect(parseTraceparent(`00-${traceId}-${spanId}-ff`)?.traceFlags).toBe(3)
  })

  it('of a later version is read as far as it is known', () => {
    expect(parseTraceparent(`01-${traceId}-${spanId}-00-more`)).toEqual({
      traceId,
      spanId,
      traceFlags: 0,
    })
  })

  it.each([
    [undefined],
    [''],
    ['text'],
    [`ff-${traceId}-${spanId}-01`],
    [`00-${'0'.repeat(32)}-${spanId}-01`],
    [`00-${traceId}-${'0'.repeat(16)}-01`],
    [`00-${traceId.toUpperCase()}-${spanId}-01`],
    [`00-${traceId}-${spanId}`],
    [`00-${traceId}-${spanId}-01-more`],
    [`00-${traceId}-${spanId}-01\n`],
    [`00-${traceId}-${spanId}-0123`],
    [`01-${traceId}-${spanId}-0123`],
  ])('%p is none', (header) => {
    expect(parseTraceparent(header)).toBeNull()
  })

  it('ids are random, of the right length', () => {
    expect(newTraceId()).toMatch(/^[0-9a-f]{32}$/)
    expect(newSpanId()).toMatch(/^[0-9a-f]{16}$/)
    expect(newTraceId()).not.toBe(newTraceId())
  })
})
