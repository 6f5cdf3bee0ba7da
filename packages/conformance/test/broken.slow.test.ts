import { describe, expect, it } from '@jest/globals'
import { conformanceIds } from '@mq/conformance'
import { brokenAdapters } from './broken/all.ts'
import { failedIds, runBroken } from './broken/run.ts'

describe('of the whole suite no other item fails for an adapter that', () => {
  for (const broken of brokenAdapters) {
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
