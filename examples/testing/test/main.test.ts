import { runExample } from '@mq/example-runner'
import { expect, it } from '@jest/globals'
import { expected, main } from './expected.ts'

it('prints what it says it prints, in memory', async () => {
  expect(await runExample(main)).toEqual(expected)
}, 60_000)
