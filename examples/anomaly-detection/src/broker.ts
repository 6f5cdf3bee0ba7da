import { MessageBroker } from '@mq/core'

export interface ProvidedBroker {
  /** The environment, with the broker's address in it and nothing beside that speaks of another one. */
  readonly env: NodeJS.ProcessEnv
  /** For people: where it came from. */
  readonly origin: string
  /** Stops what was started here; a server that the environment names is left alone. */
  stop(): Promise<void>
}

/** Makes sure that the broker is there: the environment's server, else one started here, with temporary data. */
export async function provideBroker(broker: MessageBroker, env: NodeJS.ProcessEnv): Promise<ProvidedBroker> {
  if (broker === MessageBroker.MEMORY) {
    return { env, origin: 'inside this process', stop: () => Promise.resolve() }
  }
  // Asked for when it is needed: a program of one's own would have its servers elsewhere.
  const { programVariables, startBroker } = await import('@mq/brokers')
  const server = await startBroker(broker)
  if (!server.owned) return { env, origin: 'from the environment', stop: () => Promise.resolve() }
  return {
    env: { ...env, ...programVariables(server, env) },
    origin: `started at ${server.url}`,
    stop: () => server.stop(),
  }
}
