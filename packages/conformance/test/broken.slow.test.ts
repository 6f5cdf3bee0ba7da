import { describe, expect, it } from '@jest/globals'
import { brokenAdapters } from './broken/all.ts'
import { failedIds, runBroken } from './broken/run.ts'

describe('the suite also fails an adapter that', () => {
  for (const broken of brokenAdapters.filter(({ slow }) => slow === true)) {
    it(
      broken.name,
      async () => {
        expect(failedIds(await runBroken(broken))).toEqual([...broken.fails].sort())
      },
      120_000,
    )
  }

  it('and knows each of them by a name of its own, with ids that it must fail', () => {
    expect(new Set(brokenAdapters.map(({ name }) => name)).size).toBe(brokenAdapters.length)
    expect(brokenAdapters.filter(({ fails }) => fails.length === 0)).toEqual([])
  })
})
