import { brokerError } from './errors.ts'
import type { Guard } from './processes/guard.ts'
import type { Launched } from './servers/launched.ts'
import { kafkaFiles } from './servers/kafka-files.ts'
import { startKafka, startKafkaCluster } from './servers/kafka.ts'
import { rabbitRequirement } from './servers/rabbitmq-node.ts'
import { startRabbit, startRabbitCluster } from './servers/rabbitmq.ts'
import { redisRequirement } from './servers/redis-settings.ts'
import { startRedisCluster } from './servers/redis-cluster.ts'
import { startRedisSentinel } from './servers/redis-sentinel.ts'
import { startRedis } from './servers/redis.ts'
import { locate, withoutDocker } from './sources/locate.ts'
import { brokerNames, type BrokerName, type Source, type StartOptions } from './types.ts'

export interface BrokerKind {
  start(options: StartOptions, sources: readonly Source[], guard: Guard): Promise<Launched>
  /** Installs what is needed and allowed; rejects with one line when something stays missing. */
  ensure(sources: readonly Source[], debian?: string): Promise<void>
}

const ensureRedis: BrokerKind['ensure'] = async (sources, debian) =>
  void (await locate(redisRequirement, sources, debian))

const ensureRabbit: BrokerKind['ensure'] = async (sources, debian) =>
  void (await locate(rabbitRequirement, sources, debian))

const ensureKafka: BrokerKind['ensure'] = async (sources) => void (await kafkaFiles(sources))

const registry: Readonly<Record<BrokerName, BrokerKind>> = {
  redis: { start: startRedis, ensure: ensureRedis },
  'redis-cluster': {
    start: startRedisCluster,
    ensure: (sources, debian) => ensureRedis(withoutDocker(sources), debian),
  },
  'redis-sentinel': {
    start: startRedisSentinel,
    ensure: (sources, debian) => ensureRedis(withoutDocker(sources), debian),
  },
  rabbitmq: { start: startRabbit, ensure: ensureRabbit },
  'rabbitmq-cluster': {
    start: startRabbitCluster,
    ensure: (sources, debian) => ensureRabbit(withoutDocker(sources), debian),
  },
  kafka: { start: startKafka, ensure: ensureKafka },
  'kafka-cluster': { start: startKafkaCluster, ensure: (sources) => ensureKafka(withoutDocker(sources)) },
}

/** Callers without types can pass anything. */
export function kindOf(name: BrokerName): BrokerKind {
  if (Object.hasOwn(registry, name)) return registry[name]
  throw brokerError('BROKER_MISSING', `unknown broker "${name}": there are ${brokerNames.join(', ')}`)
}
