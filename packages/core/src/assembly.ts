import { completeClock, systemClock, type Clock } from './adapter/clock.ts'
import type { BrokerAdapter } from './adapter/contract.ts'
import { checkObject, checkOptions } from './check-options.ts'
import { Administration } from './manage/administration.ts'
import { BodyCodec, type Codecs } from './message/codec.ts'
import { checkCodecs, codecOptions, loadCodecs } from './message/codec-options.ts'
import { isBroker } from './config/enums.ts'
import { MessageQueueConfig, type MessageQueueConfigInput } from './config/message-queue-config.ts'
import { Consumers } from './consume/consumers.ts'
import { Deduplication } from './consume/deduplication.ts'
import type { DeduplicationStore, Engine } from './engine.ts'
import { ConfigurationError } from './errors.ts'
import { harmless, type Logger } from './logger.ts'
import type { Middleware } from './middleware/types.ts'
import { Outbox } from './send/outbox.ts'
import { Receiving } from './consume/receiving.ts'
import { Requests } from './send/requests.ts'
import { Sender } from './send/sender.ts'
import { Stats } from './manage/stats.ts'
import { Supervisor, type SupervisorEvents } from './supervisor.ts'
import { Topology } from './manage/topology.ts'
import type { Tracer } from './message/trace.ts'
import { Turn } from './turn.ts'

/** What is no data, and so no part of the configuration. */
export interface MessageQueueOptions {
  /** Any pino-shaped logger. Default: warnings and errors on stderr. */
  logger?: Logger | undefined
  /** Makes spans when `enableTracing` is on. Default: ids are passed along and nothing is recorded. */
  tracer?: Tracer | undefined
  /** Default: the system's clock. */
  clock?: Clock | undefined
  /** Formats and encodings beyond those of Node. Default: none, or `@mq/codecs` when the configuration asks for what it holds. */
  codecs?: Codecs | undefined
  /** Where consumer-side deduplication keeps its ids: needed on RabbitMQ and Kafka. */
  deduplicationStore?: DeduplicationStore | undefined
}

const OPTIONS = ['logger', 'tracer', 'clock', 'codecs', 'deduplicationStore'] as const

/** An adapter, or how to load one at the first `connect`. */
export type AdapterSource = BrokerAdapter | (() => Promise<BrokerAdapter>)

/** The working parts of one MessageQueue. */
export interface Parts {
  readonly engine: Engine
  readonly middlewares: Middleware[]
  readonly outbox: Outbox
  readonly sender: Sender
  readonly requests: Requests
  readonly consumers: Consumers
  readonly receiving: Receiving
  readonly administration: Administration
}

/** Makes the parts and introduces them to each other. Does no I/O. Throws `ConfigurationError`. */
export function assemble(
  source: AdapterSource,
  input: MessageQueueConfigInput,
  options: MessageQueueOptions,
  events: SupervisorEvents,
  emit: Engine['emit'],
): Parts {
  checkOptions(options, OPTIONS, 'MessageQueue', ConfigurationError)
  checkSource(source)
  checkObject(input, 'MessageQueue', ConfigurationError)
  const loaded = typeof source === 'function' ? null : source
  const config = MessageQueueConfig.parse(loaded === null ? input : withBroker(input, loaded.broker))
  checkCodecs(config, options.codecs)
  const logger = harmless(options.logger)
  const clock = completeClock(options.clock ?? systemClock)
  const codec = new BodyCodec(codecOptions(config, options.codecs))
  let codecsLoaded = options.codecs !== undefined
  const supervisor = new Supervisor({
    prepare: async () => {
      if (codecsLoaded) return
      const codecs = await loadCodecs(config)
      if (codecs !== null) codec.use(codecs)
      codecsLoaded = true
    },
    loadAdapter: typeof source === 'function' ? source : () => Promise.resolve(source),
    connectTimeoutMs: config.connection.connectionTimeout * 1000,
    clock,
    logger,
    events,
  })
  if (loaded !== null) supervisor.use(loaded)
  const engine: { -readonly [K in keyof Engine]: Engine[K] } = {
    get adapter(): BrokerAdapter {
      return supervisor.adapter
    },
    config,
    clock,
    logger,
    tracer: options.tracer,
    stats: new Stats(config.enableMetrics),
    codec,
    supervisor,
    // Needs the engine itself: filled in below.
    topology: null as unknown as Topology,
    deduplication:
      options.deduplicationStore &&
      new Deduplication(options.deduplicationStore, logger, clock, config.producer.requestTimeoutMs),
    turn: new Turn(options.clock && (() => clock.monotonic())),
    emit,
  }
  engine.topology = new Topology(engine)
  const middlewares: Middleware[] = []
  const outbox = new Outbox(engine)
  const sender = new Sender(engine, outbox, middlewares)
  const requests = new Requests(engine, sender)
  const consumers = new Consumers(engine, requests, middlewares)
  const receiving = new Receiving(engine)
  const administration = new Administration(engine, consumers, receiving, outbox)
  return { engine, middlewares, outbox, sender, requests, consumers, receiving, administration }
}

function checkSource(source: unknown): void {
  if (typeof source === 'function' || (typeof source === 'object' && source !== null && 'connect' in source))
    return
  throw new ConfigurationError(
    'A MessageQueue takes an adapter, such as memoryAdapter(), or a function that loads one',
  )
}

/** An adapter that was made by hand knows its broker; the configuration need not repeat it. */
function withBroker(config: MessageQueueConfigInput, broker: string): MessageQueueConfigInput {
  return config.broker === undefined && isBroker(broker) ? { ...config, broker } : config
}
