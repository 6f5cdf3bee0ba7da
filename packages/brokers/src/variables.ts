import type { BrokerName, RunningBroker } from './types.ts'

const variables: Partial<Record<BrokerName, string>> = {
  redis: 'REDIS_URL',
  rabbitmq: 'RABBITMQ_URL',
  'rabbitmq-cluster': 'RABBITMQ_URL',
  kafka: 'KAFKA_BOOTSTRAP_SERVERS',
  'kafka-cluster': 'KAFKA_BOOTSTRAP_SERVERS',
}

/** The environment variable by which programs find a broker, if one is enough. */
export function addressVariable(name: BrokerName): string | undefined {
  return variables[name]
}

/**
 * What makes a program use this server, given over `env`: its address, and every other variable of the broker empty, which counts as
 * not given. A port or a password that was meant for another server would be taken for this one's.
 */
export function programVariables(
  { name, url }: Pick<RunningBroker, 'name' | 'url'>,
  env: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const variable = variables[name]
  if (variable === undefined) return {}
  const prefix = variable.slice(0, variable.indexOf('_') + 1)
  const left = Object.keys(env).filter((one) => one.startsWith(prefix))
  return { ...Object.fromEntries(left.map((one) => [one, ''])), [variable]: url }
}
