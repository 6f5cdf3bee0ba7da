import { afterAll, afterEach, beforeAll } from '@jest/globals'
import { type RunningBroker, startBroker, type StartOptions } from '@mq/brokers'
import { live, plainSettings, source, until as untilWithin } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import type { BrokerAdapter, Declaration, Delivery, Receiver, Target } from '@mq/core/adapter'
import { kafkaAdapter, type KafkaOptions } from '@mq/kafka'
import { connect } from '../src/connection.ts'
import { parseOptions } from '../src/options.ts'
import { deleteTopic } from '../src/topics.ts'
import { testOptions } from './harness.ts'

/** As `until`, with a patience for what a group takes to settle. */
export function until(check: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  return untilWithin(check, ms)
}

/** Resolves when that much of the clock has passed: the pace of what a test does to its broker. */
export async function reached(at: number): Promise<void> {
  await until(() => performance.now() >= at)
}

/** Deletes one of the library's own topics under those that use it. */
export async function deleteInternal(url: string, topic: string): Promise<void> {
  const events = { lost: () => undefined, blocked: () => undefined }
  const over = await connect(parseOptions(testOptions(url)), events, live)
  await deleteTopic(over, topic)
  over.close(undefined)
}

/** Connected queues, which `closeAll` ends whatever they do. */
export function connections(url: () => string): {
  connect: () => Promise<MessageQueue>
  closeAll: () => Promise<unknown>
} {
  const open: MessageQueue[] = []
  return {
    async connect() {
      const queue = new MessageQueue(kafkaAdapter(testOptions(url())))
      queue.on('error', () => undefined)
      open.push(queue)
      await queue.connect()
      return queue
    },
    closeAll: () => Promise.all(open.splice(0).map((queue) => queue.disconnect({ timeoutMs: 1 }))),
  }
}

/** Connected adapters, which `closeAll` ends whatever they do. */
export function adapters(url: () => string): {
  connect: (options?: KafkaOptions) => Promise<BrokerAdapter>
  closeAll: () => Promise<unknown>
} {
  const open: BrokerAdapter[] = []
  return {
    async connect(options = {}) {
      const adapter = kafkaAdapter(testOptions(url(), options))
      open.push(adapter)
      await adapter.connect({ lost: () => undefined, blocked: () => undefined }, AbortSignal.timeout(10_000))
      return adapter
    },
    closeAll: () =>
      Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(1_000)))),
  }
}

/** For the tests of a file (or of a block): a server, and adapters connected to it, which end with each test. */
export function onServer(options: StartOptions = {}): {
  url: () => string
  connect: (options?: KafkaOptions) => Promise<BrokerAdapter>
} {
  let broker: RunningBroker
  const url = (): string => broker.url
  const { connect, closeAll } = adapters(url)
  beforeAll(async () => {
    broker = await startBroker('kafka', options)
  }, 180_000)
  afterEach(closeAll)
  afterAll(() => broker.stop())
  return { url, connect }
}

export const declaration: Declaration = {
  settings: plainSettings,
  pattern: undefined,
  ifExists: 'take',
}

export function consuming(adapter: BrokerAdapter, target: Target): Promise<Receiver> {
  return adapter.open(source(target), () => undefined)
}

/** Exactly `n`, however many calls it takes. */
export async function take(receiver: Receiver, n: number): Promise<Delivery[]> {
  const got: Delivery[] = []
  await until(async () => {
    got.push(...(await receiver.receive(n - got.length, live)))
    return got.length === n
  })
  return got
}
