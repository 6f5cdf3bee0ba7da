import { describe, expect, it } from '@jest/globals'
import { conformanceIds } from '@mq/conformance'
import { brokenAdapters } from './broken/all.ts'
import { failedIds, runBroken } from './broken/run.ts'

describe('the suite fails an adapter that', () => {
  for (const broken of brokenAdapters.filter(({ slow }) => slow !== true)) {
    it(
      broken.name,
      async () => {
        const results = await runBroken(broken)
        expect(Object.keys(results.items)).toEqual(conformanceIds)
        expect(failedIds(results)).toEqual([...broken.fails].sort())
      },
      120_000,
    )
  }
})

describe('the suite passes an adapter that', () => {
  it('has no fault', async () => {
    const results = await runBroken({ name: 'is whole', fault: (inner) => inner })
    expect(failedIds(results)).toEqual([])
    const skipped = Object.entries(results.items).filter(([, { outcome }]) => outcome === 'skipped')
    expect(skipped.map(([id]) => id)).toEqual(['shutdown.signal'])
  }, 120_000)
})
