import { MessageBroker } from '@mq/core'

/** Where the address of a broker that was started here goes. */
const ADDRESS_VARIABLE = {
  [MessageBroker.REDIS]: 'REDIS_URL',
  [MessageBroker.RABBITMQ]: 'RABBITMQ_URL',
  [MessageBroker.KAFKA]: 'KAFKA_BOOTSTRAP_SERVERS',
} as const satisfies Partial<Record<MessageBroker, string>>

export interface ProvidedBroker {
  /** The environment, with the broker's address in it. */
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
  const { startBroker } = await import('@mq/brokers')
  const server = await startBroker(broker)
  if (!server.owned) return { env, origin: 'from the environment', stop: () => Promise.resolve() }
  return {
    env: { ...env, [ADDRESS_VARIABLE[broker]]: server.url },
    origin: `started at ${server.url}`,
    stop: () => server.stop(),
  }
}
