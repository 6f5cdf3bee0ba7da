import { describe, expect, it } from '@jest/globals'
import { pendingLines, resultProblems } from '../check-results.ts'

const ids = ['send.one', 'retry.waits']
const passed = { outcome: 'passed' }

function problemsOf(
  items: Record<string, { outcome: string; reason?: string }>,
  pending: string[] = [],
): string[] {
  return resultProblems({
    ids,
    required: ['memory'],
    results: [{ broker: 'memory', items }],
    pending: new Map([['memory', pending]]),
  })
}

describe('conformance results', () => {
  it('are fine when every id passed or met its declared refusal', () => {
    expect(problemsOf({ 'send.one': passed, 'retry.waits': { outcome: 'refused' } })).toEqual([])
  })

  it('name an id that did not run', () => {
    expect(problemsOf({ 'send.one': passed })).toEqual(['memory: retry.waits did not run'])
  })

  it.each(['failed', 'skipped', 'pending'])('name an id that is %s', (outcome) => {
    expect(problemsOf({ 'send.one': passed, 'retry.waits': { outcome, reason: 'why' } })).toEqual([
      `memory: retry.waits ${outcome} (why)`,
    ])
  })

  it('let a listed id wait, and ask to unlist it once it passes', () => {
    expect(
      problemsOf({ 'send.one': passed, 'retry.waits': { outcome: 'pending' } }, ['retry.waits']),
    ).toEqual([])
    expect(problemsOf({ 'send.one': passed, 'retry.waits': passed }, ['retry.waits'])).toEqual([
      'memory: retry.waits passes; take it off the pending list',
    ])
  })

  it('name ids that the suite does not have, in results and in the pending list', () => {
    expect(problemsOf({ 'send.one': passed, 'retry.waits': passed, gone: passed }, ['typo'])).toEqual([
      'memory: gone is no id of the suite',
      'memory: typo is no id of the suite',
    ])
  })

  it('name a broker that left no results', () => {
    expect(resultProblems({ ids, required: ['redis'], results: [], pending: new Map() })).toEqual([
      'redis: the conformance suite left no results',
    ])
  })

  it('print what is pending', () => {
    expect(
      pendingLines(
        new Map([
          ['redis', ['retry.waits']],
          ['memory', []],
        ]),
        2,
      ),
    ).toEqual(['redis: 1 of 2 ids pending: retry.waits'])
  })
})
