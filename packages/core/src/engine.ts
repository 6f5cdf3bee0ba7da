import type { Clock } from './adapter/clock.ts'
import type { BrokerAdapter, DeadLetterInfo } from './adapter/contract.ts'
import type { BodyCodec } from './message/codec.ts'
import type { MessageQueueConfig } from './config/message-queue-config.ts'
import type { Deduplication } from './consume/deduplication.ts'
import type { Logger } from './logger.ts'
import type { Message } from './message/message.ts'
import type { Stats } from './manage/stats.ts'
import type { Supervisor } from './supervisor.ts'
import type { Topology } from './manage/topology.ts'
import type { Tracer } from './message/trace.ts'
import type { Turn } from './turn.ts'

/** Where consumer-side deduplication keeps its ids, shared by all consumers of a queue. */
export interface DeduplicationStore {
  /** Whether the key was added and has not expired. */
  has(key: string): Promise<boolean>
  /** Remembers a key for `ttlMs`. */
  add(key: string, ttlMs: number): Promise<void>
}

/** What the public events carry. */
export interface MessageQueueEvents {
  connected: []
  /** Once per connection, like `connected`. `cause` is undefined when `disconnect()` ended it. */
  disconnected: [cause: unknown]
  reconnecting: [details: { attempt: number; delayMs: number; cause: unknown }]
  error: [error: Error]
  deadLetter: [message: Message, info: DeadLetterInfo]
  leaseLost: [message: Message]
}

/** What the parts of one MessageQueue share. Made once; the parts hold it and each other only through it. */
export interface Engine {
  readonly adapter: BrokerAdapter
  readonly config: MessageQueueConfig
  readonly clock: Required<Clock>
  readonly logger: Logger
  readonly tracer: Tracer | undefined
  readonly stats: Stats
  readonly codec: BodyCodec
  readonly supervisor: Supervisor
  readonly topology: Topology
  /** Without a store: `undefined`. */
  readonly deduplication: Deduplication | undefined
  readonly turn: Turn
  /** Never throws: a listener's error is logged. */
  emit<E extends keyof MessageQueueEvents>(event: E, ...args: MessageQueueEvents[E]): void
}
