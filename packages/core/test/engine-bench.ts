import type { OutboundMessage, QueueSettings } from '../src/adapter/index.ts'
import { assemble, type MessageQueueOptions, type Parts } from '../src/assembly.ts'
import type { MessageQueueConfigInput } from '../src/config/message-queue-config.ts'
import type { HandlerFunction, HandlerOptions } from '../src/consume/handler.ts'
import { MessageQueueError } from '../src/errors.ts'
import type { Consumer } from '../src/consume/consumer.ts'
import type { Logger } from '../src/logger.ts'
import { MessageQueue } from '../src/message-queue.ts'
import { resolveQueue } from '../src/message/typed.ts'
import { fakeAdapter, type FakeAdapter, type FakeReceiver } from './fake-adapter.ts'
import { settled, VirtualClock } from './memory/virtual-clock.ts'

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Record<string, unknown>
  readonly message: string
}

export interface EngineBench extends Parts {
  readonly adapter: FakeAdapter
  readonly clock: VirtualClock
  readonly log: LogLine[]
  /** Public events, by name, and what the supervisor told. */
  readonly events: [string, ...unknown[]][]
  consume(
    handler: HandlerFunction,
    options?: HandlerOptions,
  ): Promise<{ consumer: Consumer; receiver: FakeReceiver }>
}

export function recorder(log: LogLine[]): Logger {
  const at = (level: LogLine['level']) => (fields: object, message?: string) => {
    log.push({ level, fields: fields as Record<string, unknown>, message: message ?? '' })
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** The parts of a MessageQueue over a fake adapter, in virtual time. */
export function engineBench(
  config: MessageQueueConfigInput = {},
  adapter: FakeAdapter = fakeAdapter(),
  options: MessageQueueOptions = {},
): EngineBench {
  const clock = new VirtualClock()
  adapter.clock = clock
  const log: LogLine[] = []
  const events: EngineBench['events'] = []
  const parts = assemble(
    adapter,
    config,
    { clock, logger: recorder(log), ...options },
    {
      up: async () => {
        events.push(['up'])
      },
      down: (cause) => {
        events.push(['down', cause])
        parts.consumers.connectionLost(cause)
        parts.receiving.connectionLost(cause)
        parts.requests.connectionLost(cause)
      },
      closed: () => events.push(['closed']),
      reconnecting: (details) => events.push(['reconnecting', details]),
      failed: (error) => events.push(['failed', error]),
    },
    (event, ...args) => events.push([event, ...(args as unknown[])]),
  )
  const consume: EngineBench['consume'] = async (handler, options = {}) => {
    const queue = resolveQueue('q')
    parts.consumers.register(queue, { run: handler as never, onError: null }, options)
    const consumer = await parts.consumers.start(queue, {})
    return { consumer, receiver: lastOf(adapter.receivers) }
  }
  return { ...parts, adapter, clock, log, events, consume }
}

export async function connectedBench(...args: Parameters<typeof engineBench>): Promise<EngineBench> {
  const bench = engineBench(...args)
  await bench.engine.supervisor.connect()
  return bench
}

/** A whole MessageQueue over a fake adapter, in virtual time. */
export function queueBench(config: MessageQueueConfigInput = {}, adapter: FakeAdapter = fakeAdapter()) {
  const clock = new VirtualClock()
  adapter.clock = clock
  const log: LogLine[] = []
  const queue = new MessageQueue(adapter, config, { clock, logger: recorder(log) })
  return { queue, adapter, clock, log }
}

export function lastOf<T>(list: readonly T[]): T {
  const last = list.at(-1)
  if (last === undefined) throw new Error('the list is empty')
  return last
}

/** Lets everything happen that needs no time to pass, until the condition holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = 'the condition',
): Promise<void> {
  for (let turn = 0; !(await condition()); turn++) {
    if (turn > 200) throw new Error(`${what} never held`)
    await settled()
  }
}

/** What a promise rejects with: an error of this library, or the test fails. */
export async function refusal(promise: Promise<unknown>): Promise<MessageQueueError> {
  const error: unknown = await promise.then(
    (value) => new Error(`it resolved with ${String(value)}`),
    (reason: unknown) => reason,
  )
  if (!MessageQueueError.is(error)) throw error
  return error
}

/** A promise and its handles. */
export function deferred<T = void>(): {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
} {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((ok, no) => {
    resolve = ok
    reject = no
  })
  return { promise, resolve, reject }
}

export { settled }

/** What the outbox says of a message: its id once it is stored, or why it is not. */
export function sendBy(
  { outbox }: EngineBench,
  message: OutboundMessage,
  key = 'q',
  {
    label = 'q',
    settings,
    signal,
  }: { label?: string; settings?: QueueSettings; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  return new Promise((resolve, reject) =>
    outbox.send(message, key, label, settings, signal, { resolve, reject }),
  )
}
