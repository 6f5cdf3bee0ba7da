import { describe, expect, it } from '@jest/globals'
import { declaredExamples, foreignDependencies, outputMatches } from '../lib/packed-examples.ts'

describe('what an example declares to print', () => {
  it.each([
    ['a\nb\n', 'a\nb\n', true],
    ['a\nb\n', 'a\n', false],
    ['a\n', 'a\nb\n', false],
    ['a (1.5)\n', 'a (1.5)\n', true],
    ['a (1x5)\n', 'a (1.5)\n', false],
    ['at http://127.0.0.1:81/x\n', 'at http://127.0.0.1:PORT/x\n', true],
    ['at http://127.0.0.1:/x\n', 'at http://127.0.0.1:PORT/x\n', false],
    ['took 3 s\nwhole\n', '…\nwhole\n', true],
    ['whole\nChart: a\n', '…\nwhole\n…\n', true],
    ['took 3 s\nhalf\n', '…\nwhole\n…\n', false],
  ])('%j printed, %j declared: %p', (output, declared, matches) => {
    expect(outputMatches(output, declared)).toBe(matches)
  })
})

describe('the examples', () => {
  it('declare it, but for the one that is no program', () => {
    const names = declaredExamples().map(({ directory }) => directory)
    expect(names).toEqual(
      expect.arrayContaining([
        'anomaly-detection',
        'dead-letters',
        'health-endpoint',
        'quickstart',
        'request-reply',
        'stream-processing',
        'testing',
        'typed-queues',
      ]),
    )
  })

  it('say which packages of others they need, in the versions that are installed', () => {
    const needed = foreignDependencies(declaredExamples())
    expect(needed['fastify']).toMatch(/^\d+\.\d+\.\d+/)
    expect(Object.keys(needed).filter((name) => name.startsWith('@mq/'))).toEqual([])
  })
})
