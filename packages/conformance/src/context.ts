import { randomUUID } from 'node:crypto'
import { format } from 'node:util'
import { MessageQueue, type Clock } from '@mq/core'
import type { BrokerAdapter, Capabilities, ConnectionEvents } from '@mq/core/adapter'
import { faulty, type Faulty } from './faulty.ts'
import { deadline, realClock, sleep, within } from './schedule.ts'
import type { Harness, ItemResult, Link } from './types.ts'

export type ConfigInput = NonNullable<ConstructorParameters<typeof MessageQueue>[1]>
export type QueueOptions = NonNullable<ConstructorParameters<typeof MessageQueue>[2]>

/** What one test works with. Everything made here is ended after the test, whatever became of it. */
export interface TestContext {
  readonly harness: Harness
  /** Of a connected adapter: exact. */
  readonly capabilities: Capabilities
  /** How long to wait for what must happen, in ms. */
  readonly patienceMs: number
  /** Short lease, in ms, for tests that let one run out. */
  readonly leaseMs: number
  /** Everything that was logged, one line each, at every level. */
  readonly log: readonly string[]
  /** `error` events of the queues of this test. */
  readonly errors: readonly Error[]

  readonly clock: Clock
  /** ms since the epoch, by the clock of the test. */
  now(): number
  /** A signal that aborts after `ms`, by default after `patienceMs`. */
  deadline(ms?: number): AbortSignal

  /** A name that no other test uses. */
  name(hint?: string): string
  adapter(): BrokerAdapter
  /** A connected adapter, for what only the contract shows. */
  connected(on?: Partial<ConnectionEvents>): Promise<BrokerAdapter>
  /** An adapter that can be disturbed by calling it. */
  faulty(): Faulty
  /** The harness' own network faults, or simulated ones. */
  link(): Promise<Link>
  /** A queue that is not connected yet. */
  create(config?: ConfigInput, adapter?: BrokerAdapter, options?: QueueOptions): MessageQueue
  connect(config?: ConfigInput, adapter?: BrokerAdapter, options?: QueueOptions): Promise<MessageQueue>
  /** Configuration with the short lease. */
  shortLease(ms?: number): ConfigInput

  /** Waits for a condition, or fails saying what did not happen. */
  until(condition: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void>
  /** Lets time pass in which nothing may happen. */
  quiet(ms?: number): Promise<void>
  defer(end: () => unknown): void

  /** The broker is less here, as it declares: what was asserted is the refusal or the difference. */
  refused(capability: keyof Capabilities): void
  /** Ends the test without a verdict: something is missing in the harness. */
  skip(reason: string): never
}

const SKIP = Symbol('skip')

interface Skip {
  readonly [SKIP]: string
}

export interface RunContext extends TestContext {
  /** `passed` or `refused`, or why the test was skipped. */
  resultOf(error: unknown): ItemResult | null
  end(): Promise<void>
}

export function createContext(harness: Harness, capabilities: Capabilities): RunContext {
  const patienceMs = harness.patienceMs ?? 15_000
  const leaseMs = harness.leaseMs ?? 3000
  const clock = harness.clock ?? realClock
  const log: string[] = []
  const errors: Error[] = []
  const ends: (() => unknown)[] = []
  let refusal: keyof Capabilities | null = null

  const write = (fields: object, message: string) => void log.push(format('%s %o', message, fields))
  const logger = { debug: write, info: write, warn: write, error: write }

  const t: RunContext = {
    harness,
    capabilities,
    patienceMs,
    leaseMs,
    log,
    errors,
    clock,
    now: () => clock.now(),
    deadline: (ms = patienceMs) => deadline(clock, ms),

    name: (hint = 'q') => `${hint}-${randomUUID().slice(0, 13)}`,

    adapter() {
      const adapter = harness.createAdapter()
      t.defer(() => adapter.disconnect(t.deadline(2000)))
      return adapter
    },

    async connected(on = {}) {
      const adapter = t.adapter()
      const events = { lost: () => undefined, blocked: () => undefined, ...on }
      await adapter.connect(events, t.deadline())
      return adapter
    },

    faulty() {
      const wrapped = faulty(t.adapter(), clock)
      t.defer(() => wrapped.close())
      return wrapped
    },

    async link() {
      if (harness.faults?.link === undefined) return t.faulty()
      const link = await harness.faults.link()
      t.defer(() => link.close())
      return link
    },

    create(config = {}, adapter = t.adapter(), options = {}) {
      const { consumer, ...rest } = config
      const full = {
        retryDelaySeconds: 0.02,
        retryJitter: 0,
        ...rest,
        consumer: { sessionTimeoutMs: 30_000, heartbeatIntervalMs: 10_000, ...consumer },
      } as ConfigInput
      const queue = new MessageQueue(adapter, full, {
        logger,
        ...(harness.clock === undefined ? {} : { clock }),
        ...options,
      })
      queue.on('error', (error: Error) => errors.push(error))
      t.defer(() => queue.disconnect({ timeoutMs: 1 }))
      return queue
    },

    async connect(config, adapter, options) {
      const queue = t.create(config, adapter, options)
      await queue.connect()
      return queue
    },

    shortLease: (ms = leaseMs) => ({
      consumer: { sessionTimeoutMs: ms, heartbeatIntervalMs: Math.floor(ms / 4) },
    }),

    async until(condition, what) {
      const deadline = clock.now() + patienceMs
      let pause = 2
      while (!(await condition())) {
        if (clock.now() > deadline) {
          const text = typeof what === 'string' ? what : what()
          throw new Error(`did not happen within ${patienceMs} ms: ${text}`)
        }
        await sleep(clock, pause)
        pause = Math.min(20, pause + 2)
      }
    },

    quiet: (ms = 200) => sleep(clock, ms),
    defer: (end) => void ends.push(end),
    refused: (capability) => void (refusal = capability),
    skip(reason) {
      throw { [SKIP]: reason } satisfies Skip
    },

    resultOf(error) {
      if (error === null)
        return refusal === null ? { outcome: 'passed' } : { outcome: 'refused', capability: refusal }
      const skipped = typeof error === 'object' ? (error as Partial<Skip>)[SKIP] : undefined
      return skipped === undefined ? null : { outcome: 'skipped', reason: skipped }
    },

    async end() {
      // Queues first, then what they stand on; one that hangs does not keep the others.
      for (const end of ends.reverse()) {
        await within(clock, Promise.resolve().then(end), 3000, () => 'clean-up took too long').catch(
          () => undefined,
        )
      }
    },
  }
  return t
}
