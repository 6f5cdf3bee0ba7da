import { realBrokers, runExample, startOwn } from '@mq/example-runner'
import { expect, it } from '@jest/globals'
import { expected, main } from './expected.ts'

it.each(realBrokers)(
  'prints the same on %s',
  async (broker) => {
    const { server, env } = await startOwn(broker)
    try {
      expect(await runExample(main, env)).toEqual(expected)
    } finally {
      await server.stop()
    }
  },
  240_000,
)
