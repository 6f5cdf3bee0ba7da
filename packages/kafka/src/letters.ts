import type { Connection } from './connection.ts'
import type { Commit } from './group/membership-contract.ts'
import { createTracker, type Tracker } from './group/tracker.ts'
import type { LogEnds } from './log/offsets.ts'
import { leftBy, scan } from './log/scan.ts'
import { decodeRecord } from './wire.ts'

/** Where a message lies, and its place in a list. */
export interface Letter {
  readonly partition: number
  readonly offset: number
  /** When it failed last, else its own, in ms since the epoch. */
  readonly time: number
}

/**
 * The places of what waits in one topic, without its bytes. A look reads on where the one before ended: pages of a list, and whoever removes what they
 * show, read the log once.
 */
export interface Letters {
  /** Id of the topic, in hex. */
  readonly topicId: string
  /** Reads on in a partition; answers what waits there in the order of the log, and whether an offset is gone: done, or removed by a browse. */
  read(
    partition: number,
    commit: Commit | undefined,
    end: LogEnds,
  ): Promise<{ readonly waiting: readonly Letter[]; readonly gone: (offset: number) => boolean }>
}

interface Part {
  /** What lies below was let go. */
  from: number
  /** Where it was read to. */
  at: number
  readonly removed: Tracker
  letters: readonly Letter[]
}

/** How long the places of one topic are kept after a look. */
const KEPT_MS = 60_000

/** Keeps those of the topic that was looked into last: the next page mostly follows soon. */
export function createLetterKeeper(): (connection: Connection, topic: string, topicId: string) => Letters {
  let last: { readonly connection: Connection; readonly letters: Letters } | null = null
  let timer: NodeJS.Timeout | undefined
  return (connection, topic, topicId) => {
    clearTimeout(timer)
    timer = setTimeout(() => (last = null), KEPT_MS).unref()
    if (last?.connection !== connection || last.letters.topicId !== topicId)
      last = { connection, letters: createLetters(connection, topic, topicId) }
    return last.letters
  }
}

function createLetters(connection: Connection, topic: string, topicId: string): Letters {
  const parts = new Map<number, Part>()
  let last: Promise<unknown> = Promise.resolve()

  const read: Letters['read'] = async (partition, commit, end) => {
    const left = leftBy(commit, end.low)
    let part = parts.get(partition)
    // What was done may be undone by hand, and a log may lose its end.
    if (part === undefined || left.base < part.from || part.at > end.high) {
      part = { from: left.base, at: left.base, removed: createTracker(left.base), letters: [] }
      parts.set(partition, part)
    }
    const { removed } = part
    const more: Letter[] = []
    const from = Math.max(part.at, left.base)
    part.at = await scan(connection, topic, partition, { from, to: end.high }, removed, (record) => {
      const failedAt = decodeRecord(record).deadLetter?.lastFailedAt
      more.push({ partition, offset: record.offset, time: failedAt?.getTime() ?? record.timestamp })
    })
    const gone = (offset: number): boolean => left.isDone(offset) || removed.isDone(offset)
    part.letters = [...part.letters, ...more].filter(
      ({ offset }) => offset >= left.base && !removed.isDone(offset),
    )
    part.from = left.base
    return { waiting: part.letters.filter(({ offset }) => !gone(offset)), gone }
  }
  return {
    topicId,
    read(partition, commit, end) {
      const next = last.catch(() => undefined).then(() => read(partition, commit, end))
      last = next
      return next
    },
  }
}
