import type { AdapterContext, BrokerAdapter } from './adapter/contract.ts'
import { isBroker, MessageBroker } from './config/enums.ts'
import { MessageQueueConfig, type MessageQueueConfigInput } from './config/message-queue-config.ts'
import { ConfigurationError } from './errors.ts'
import { importPackage, locatePackage } from './load-package.ts'
import { harmless } from './logger.ts'
import { createMemoryBroker, memoryAdapter } from './memory/index.ts'
import type { MessageQueueOptions } from './assembly.ts'
import { MessageQueue } from './message-queue.ts'

/** What a package named after a broker must export. */
type CreateAdapter = (config: MessageQueueConfig, context: AdapterContext) => BrokerAdapter

/** Makes queues from configuration alone. Nothing here does I/O: the adapter's package is loaded by `connect()`. */
export const MessageQueueFactory = {
  /**
   * A queue on the broker that the configuration names. Throws `ConfigurationError`, listing every problem; a missing adapter
   * package rejects `connect()` with `MQ_PACKAGE_MISSING` and the command that installs it.
   */
  createQueue(config: MessageQueueConfigInput = {}, options: MessageQueueOptions = {}): MessageQueue {
    const parsed = MessageQueueConfig.parse(config)
    // In this package: there is nothing to wait for.
    if (parsed.broker === MessageBroker.MEMORY)
      return new MessageQueue(memoryFor(parsed, options), parsed, options)
    const logger = harmless(options.logger)
    return new MessageQueue(() => loadAdapter(parsed, { logger }, options), parsed, options)
  },

  /** Like `createQueue`, with the configuration in the environment (`MESSAGE_BROKER`, `REDIS_URL`, …), read now. */
  createQueueFromEnv(env: NodeJS.ProcessEnv = process.env, options: MessageQueueOptions = {}): MessageQueue {
    return MessageQueueFactory.createQueue(MessageQueueConfig.fromEnv(env), options)
  },

  /** A queue on an in-memory broker of its own, which no other queue sees. */
  createForTesting(options: MessageQueueOptions = {}): MessageQueue {
    const config = MessageQueueConfig.parse({ broker: MessageBroker.MEMORY })
    const broker = createMemoryBroker(clockOf(options))
    return new MessageQueue(memoryAdapter({ broker }), config, options)
  },

  /**
   * A queue on `preferred`, or on `fallback` when the package of the preferred broker is not installed, with a warning. A broker
   * that is down is no reason to fall back. Either is a configuration, or a broker's name with the rest from the environment.
   */
  createWithFallback(
    preferred: MessageBroker | MessageQueueConfigInput,
    fallback: MessageBroker | MessageQueueConfigInput,
    options: MessageQueueOptions = {},
  ): MessageQueue {
    const config = configOf(preferred)
    if (MessageQueueFactory.validateBrokerAvailability(config.broker)) {
      return MessageQueueFactory.createQueue(config, options)
    }
    const second = configOf(fallback)
    const logger = harmless(options.logger)
    logger.warn(
      { preferred: config.broker, fallback: second.broker },
      `${packageOf(config.broker)} is not installed; ${second.broker} is used in place of ${config.broker}`,
    )
    return MessageQueueFactory.createQueue(second, options)
  },

  /** The brokers whose package is installed; `memory` always is. */
  getAvailableBrokers(): MessageBroker[] {
    return Object.values(MessageBroker).filter((broker) =>
      MessageQueueFactory.validateBrokerAvailability(broker),
    )
  },

  /** Whether a broker is known and its package installed. Says nothing about a server. */
  validateBrokerAvailability(broker: string): boolean {
    if (broker === MessageBroker.MEMORY) return true
    return isBroker(broker) && locatePackage(packageOf(broker)) !== null
  },
}

function packageOf(broker: string): string {
  return `@mq/${broker}`
}

function configOf(given: MessageBroker | MessageQueueConfigInput): MessageQueueConfig {
  if (typeof given !== 'string') return MessageQueueConfig.parse(given)
  return MessageQueueConfig.fromEnv({ ...process.env, MESSAGE_BROKER: given })
}

function clockOf({ clock }: MessageQueueOptions): Pick<MessageQueueOptions, 'clock'> {
  return clock === undefined ? {} : { clock }
}

function memoryFor({ connection: { url } }: MessageQueueConfig, options: MessageQueueOptions): BrokerAdapter {
  return memoryAdapter({ ...(typeof url === 'string' && { url }), ...clockOf(options) })
}

/** The adapter that a configuration asks for: the in-memory one, or that of the package `@mq/<broker>`. */
export async function loadAdapter(
  config: MessageQueueConfig,
  context: AdapterContext,
  options: MessageQueueOptions = {},
): Promise<BrokerAdapter> {
  if (config.broker === MessageBroker.MEMORY) return memoryFor(config, options)
  const name = packageOf(config.broker)
  const { createAdapter } = await importPackage(name, `The broker ${config.broker}`)
  if (typeof createAdapter !== 'function') {
    throw new ConfigurationError(
      `${name} exports no createAdapter(config, context): install a version that fits @mq/core`,
    )
  }
  return (createAdapter as CreateAdapter)(config, context)
}
