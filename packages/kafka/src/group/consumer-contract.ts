import type { LogRecord } from '../log/batch-reader.ts'
import type { Connection } from '../connection.ts'
import type { Names } from '../names.ts'
import type { Publisher } from '../publisher.ts'
import type { History } from './partition-contract.ts'

/** What a consumer hands out to. */
export interface Taker {
  /** Takes only what it is asked for, now and then: must not keep partitions from others. */
  readonly pulls: boolean
  /** Records that were handed out to it belong to others now. */
  lost(records: readonly LogRecord[], cause: unknown): void
}

/** All receivers of one queue in this process: one member of its group, whose records they share. */
export interface Consumer {
  readonly error: unknown
  attach(taker: Taker): void
  /** What it held becomes available to others. The last one ends the membership. */
  detach(taker: Taker, signal: AbortSignal): Promise<void>
  /** Up to `max` records that are ready; never waits. */
  take(taker: Taker, max: number): LogRecord[]
  /** Resolves when there may be something to take, after `ms`, or on abort. */
  wait(taker: Taker, ms: number, signal: AbortSignal): Promise<void>
  /** Resolves with true when everything that was in the log at the call was read, with false when something is ready before. */
  look(taker: Taker, signal: AbortSignal): Promise<boolean>
  /** Whether a record is still with whom it was handed out to. */
  holds(record: LogRecord): boolean
  /** Settles a record for good; false: it belongs to somebody else. */
  complete(record: LogRecord): boolean
  /** Makes it ready again. */
  giveBack(record: LogRecord): boolean
  /** Ready again at `dueAt`, ms since the epoch, with one failure more; its key waits behind it. */
  retryInPlace(record: LogRecord, dueAt: number): boolean
  historyOf(record: LogRecord): History
  /** Commits what is done now. Never rejects. */
  flush(): Promise<void>
  /** One of its topics was made: the next round sees it. */
  topicsChanged(): void
  /** Leaves the group until somebody asks again, if nothing is handed out and nobody asks. */
  rest(): Promise<void>
  /** A purge begins: that what lies below is deleted is no news. */
  purging(topic: string, partition: number, below: number): void
  /** A purge: what lies below and was not handed out is gone. Answers how many are handed out still. */
  purged(topic: string, partition: number, below: number): number
  /** Ends it for all of its receivers; what they hold is given back. */
  close(signal: AbortSignal): Promise<void>
  /** Ends it, saying why. */
  fail(error: unknown): void
}

export interface ConsumerSetup {
  readonly connection: Connection
  readonly names: Names
  readonly ordered: boolean
  readonly pattern: string | undefined
  /** Records are taken out of the middle of its log: their places must stay, and removals be read before they are handed out. */
  readonly hasRemovals: boolean
  readonly startFrom: 'earliest' | 'latest'
  /** Whether what is consumed is deleted. */
  readonly trims: (topic: string) => Promise<boolean>
  /** Whether no other group reads the same. Asked after a commit: of two that begin together one at least sees the other. */
  readonly isAlone: () => Promise<boolean>
  readonly produceTo: Publisher['produceTo']
  /** Makes the topic that keeps what waits. */
  readonly ensureLater: () => Promise<void>
  /** Members that the brokers still wait for, by group. */
  readonly ghosts: Map<string, string>
  ended(consumer: Consumer): void
}
