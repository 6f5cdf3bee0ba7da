import type { LogRecord } from '../log/batch-reader.ts'
import type { Taker } from './consumer-contract.ts'
import type { Delayed, Waiting } from './delayed.ts'
import type { Tracker } from './tracker.ts'

/** What a record went through before, as far as it does not say so itself. */
export interface History {
  /** Failed runs in place. */
  readonly failures: number
  /** When the first of them was, in ms since the epoch. */
  readonly firstFailedAt: number | undefined
  /** Unclean ends that it has seen. */
  readonly stalls: number
}

export const NO_HISTORY: History = { failures: 0, firstFailedAt: undefined, stalls: 0 }

/** What records that are handed out refer to: one for all of a call. */
export interface Hold {
  readonly partition: Partition
  /** `null`: set aside, for being written anew elsewhere. */
  readonly taker: Taker | null
}

/** One partition that this process reads: what was fetched, handed out, and done. */
export interface Partition {
  readonly topic: string
  /** Of the topic whose log is read, in hex. */
  readonly topicId: string
  readonly number: number
  readonly tracker: Tracker
  /** Offset to fetch next. */
  position: number
  /** Of the leader that wrote what lies right before the position, or was read by an owner before; -1: not known. */
  epoch: number
  /** As the broker last said. */
  highWatermark: number
  /** Not ours any more. */
  gone: boolean
  /** To be let go when nothing of it is handed out; since when, by `performance.now()`. */
  leavingSince: number | null
  /** Where deletion of what is consumed got to. */
  trimmed: number
  /** That what is below is deleted is no news. */
  droppedTo: number
  /** So much waits to be handed out that it is not read on. */
  readonly isFull: boolean
  /** What waits until it is due. */
  readonly delayed: Delayed
  readonly readyCount: number
  /** Time of the record that is next; meaningless where none is ready. */
  readonly nextTime: number
  readonly heldCount: number
  /** That of the other topic with the same keys, where no two of a key may be handed out at a time. */
  readonly beside: Partition | undefined
  /** What failed in place waits with this key. */
  blocks(key: string): boolean
  /** Something of it is handed out to another taker. */
  isOthers(taker: Taker | null): boolean
  /** What is handed out. */
  held(): Iterable<LogRecord>
  /** Whether the last commit's metadata had room for everything. */
  readonly fits: boolean
  /** Takes in what was fetched. */
  accept(records: readonly LogRecord[], next: number): void
  /** Up to `max` records that are due, now handed out to `taker`. On ordered queues nobody else gets any meanwhile, and who pulls one of a key at a time. */
  take(max: number, taker: Taker | null, ordered: boolean, now: number): LogRecord[]
  /** Up to `max` ready records, taken out to be written anew elsewhere; ends with `complete` or `giveBack`. None while a poison is looked for. */
  takeAside(max: number): LogRecord[]
  /** It stays until what is held now is settled: that takes long, and must not be taken from whoever works on it. */
  pin(): void
  readonly isPinned: boolean
  isHeld(offset: number): boolean
  /** Settled for good. */
  complete(offset: number): void
  /** Back among the ready ones. */
  giveBack(record: LogRecord): void
  /** Back with a failure more after a wait; later records of its key wait behind it. */
  retryInPlace(record: LogRecord, dueAt: number, now: number): void
  /** It was not given back by whom it was handed out to. */
  leftBehind(offset: number): void
  historyOf(offset: number): History
  /** The broker deleted what is below: what was not handed out is gone. */
  dropBelow(offset: number): void
  /** Back among the delayed ones, unless it is done by now. */
  delayAgain(waiting: readonly Waiting[]): void
  /** What to commit, unless that is what was committed last. */
  commitEntry(held: boolean, limit: number): { offset: number; metadata: string } | null
  committed(offset: number, metadata: string): void
  /** Nothing is held, and all that is done is committed: it can go without anything being repeated. */
  readonly isSettled: boolean
}

export interface PartitionStart {
  readonly topic: string
  readonly topicId: string
  readonly number: number
  readonly offset: number
  /** Of the group's last commit. */
  readonly metadata: string | null
  readonly pattern: string | undefined
  /** How many the topic had when the group began, where its commits tell. */
  readonly partitions: number | undefined
  /** By which leader the last batch was written that the owner before has read, where its commit tells. */
  readonly epoch?: number | undefined
  /** Most bytes of what is delayed that are kept. */
  readonly delayedBytes: number
  /** Removals may follow: nothing is handed out before everything was read that was there at the start. */
  readonly readsAhead: boolean
  readonly beside?: () => Partition | undefined
}
