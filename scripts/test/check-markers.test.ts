import { describe, expect, it } from '@jest/globals'
import { markerProblems } from '../check-markers.ts'

// Put together at run time, so that the check does not find them in this file.
const marker = ['NO', 'MERGE'].join('')
const focused = ['it', 'only'].join('.')
const hidden = ['describe', 'skip'].join('.')

describe('markers', () => {
  it('are found anywhere, with path and line', () => {
    expect(markerProblems('docs/a.md', `fine\n${marker}: later\n`)).toEqual([
      `docs/a.md:2: ${marker} must not be merged`,
    ])
  })

  it('include focused and hidden tests', () => {
    const text = `${focused}('a', () => {})\n${hidden}('b', () => {})\nit('c', () => {})\n`
    expect(markerProblems('packages/core/test/a.test.ts', text)).toEqual([
      `packages/core/test/a.test.ts:1: ${focused} must not be merged`,
      `packages/core/test/a.test.ts:2: ${hidden} must not be merged`,
    ])
  })

  it('leave code that is no test alone', () => {
    expect(markerProblems('packages/conformance/src/run.ts', `${hidden}(name)`)).toEqual([])
  })
})
