import { realBrokers, runOn } from '@mq/example-runner'
import { expect, it } from '@jest/globals'
import { expected, main } from './expected.ts'

it.each(realBrokers)(
  'prints the same on %s',
  async (broker) => expect(await runOn(broker, main)).toEqual(expected),
  240_000,
)
