import type { BrokerName } from '@mq/brokers'
import type { Side } from './side.ts'

export interface Bench {
  /** Messages of one run of W1 to W4: a second's worth or so, since the first tenth of one is warming up and joining. */
  readonly messages: number
  /** Of W3, where what is published in a second is handled in a fraction of one. Default: `messages`. */
  readonly handled?: number
  /** Messages of one run of W6. */
  readonly growing: number
  /** The server that it needs; absent: none. */
  readonly broker?: BrokerName
  /** Lines of that server's configuration. */
  readonly settings?: Readonly<Record<string, string>>
  /** The contenders; the first is what the others are measured by, the second is this library. */
  readonly sides: (url: string) => Promise<readonly Side[]>
  /** W5 and W6: messages waiting, few and many. */
  readonly backlog: readonly [few: number, some: number, many: number]
  /** W7: packages whose import is measured, ours first. */
  readonly imports: readonly string[]
}

/** Sides are loaded on demand: a process that measures memory must not hold the clients of every broker. */
export const BENCHES: Readonly<Record<string, Bench>> = {
  memory: {
    messages: 400_000,
    growing: 100_000,
    sides: async () => (await import('./memory.ts')).memorySides,
    backlog: [1_000, 100_000, 1_000_000],
    imports: ['@mq/core', 'p-queue', 'fastq'],
  },
  redis: {
    messages: 100_000,
    growing: 20_000,
    broker: 'redis',
    // As often as it is due by default, whoever is measured meanwhile pays for what others have written.
    settings: { 'auto-aof-rewrite-min-size': '4gb' },
    sides: async (url) => (await import('./redis.ts')).redisSides(url),
    backlog: [1_000, 100_000, 1_000_000],
    imports: ['@mq/core', '@mq/redis', 'redis', 'bullmq', 'bee-queue', 'moleculer'],
  },
  rabbitmq: {
    messages: 60_000,
    growing: 10_000,
    broker: 'rabbitmq',
    sides: async (url) => (await import('./rabbitmq.ts')).rabbitmqSides(url),
    // A quorum queue keeps its log on disk: a million messages would measure that.
    backlog: [1_000, 20_000, 100_000],
    imports: [
      '@mq/core',
      '@mq/rabbitmq',
      'amqplib',
      'rabbitmq-client',
      'rascal',
      '@nestjs/microservices',
      '@message-queue-toolkit/amqp',
    ],
  },
  kafka: {
    messages: 60_000,
    handled: 200_000,
    growing: 20_000,
    broker: 'kafka',
    sides: async (url) => (await import('./kafka.ts')).kafkaSides(url),
    backlog: [1_000, 100_000, 500_000],
    imports: ['@mq/core', '@mq/kafka', 'kafkajs', '@nestjs/microservices'],
  },
}
