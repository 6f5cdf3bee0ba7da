import { programVariables, startBroker, type RunningBroker } from '@mq/brokers'
import { runExample, type Ended } from './run-example.ts'

/** Every real broker that an example is shown on. */
export const realBrokers = ['redis', 'rabbitmq', 'kafka'] as const

export type RealBroker = (typeof realBrokers)[number]

export interface OwnBroker {
  readonly server: RunningBroker
  /** What makes a program use it. */
  readonly env: Readonly<Record<string, string>>
}

/** A server without anybody's messages, since what an example prints counts them. The caller stops it. */
export async function startOwn(name: RealBroker): Promise<OwnBroker> {
  const server = await startBroker(name, { fresh: true })
  return { server, env: { MESSAGE_BROKER: name, ...programVariables(server) } }
}

/** Runs a program to its end on such a server. */
export async function runOn(name: RealBroker, main: URL): Promise<Ended> {
  const { server, env } = await startOwn(name)
  try {
    return await runExample(main, env)
  } finally {
    await server.stop()
  }
}
