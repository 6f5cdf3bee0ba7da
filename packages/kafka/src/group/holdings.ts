import type { LogRecord } from '../log/batch-reader.ts'
import type { Taker } from './consumer-contract.ts'
import type { Partition } from './partition-contract.ts'

/** From so many wanted on, partitions give several records at a time: going round by single ones costs more than it spreads. */
const WANTS_MANY = 32
const SEVERAL = 8

/** What one member of a group reads, and whom its records were handed out to. */
export interface Holdings {
  /** By `topic/partition`; those whose turn was longest ago come first. */
  readonly owned: Map<string, Partition>
  /** Records that are handed out. */
  readonly count: number
  takers(): readonly Taker[]
  attach(taker: Taker): void
  /** What the taker holds still. */
  heldBy(taker: Taker): readonly LogRecord[]
  detach(taker: Taker): void
  readyCount(): number
  /** Up to `max` records that are ready, the oldest first, now handed out to the taker. */
  give(taker: Taker, max: number, ordered: boolean): LogRecord[]
  /** Takes a partition out of use; whoever holds records of it is told. */
  drop(partition: Partition, cause: unknown): void
  dropAll(cause: unknown): void
  /** Partition numbers by topic, of those that pass. */
  parts(filter?: (partition: Partition) => boolean): Record<string, number[]>
}

export function createHoldings(): Holdings {
  const owned = new Map<string, Partition>()
  const takers = new Set<Taker>()

  /**
   * The partition whose next record is the oldest, and whether there is no other with any. `gather`: one of which something is held
   * already comes first, so that the others can go to whoever asks for them.
   */
  const oldestOf = (
    without: ReadonlySet<Partition>,
    gather: boolean,
  ): { partition: Partition; alone: boolean } | null => {
    let best: Partition | null = null
    let bestTime = 0
    let bestHeld = false
    let ready = 0
    for (const partition of owned.values()) {
      if (without.has(partition) || partition.readyCount === 0) continue
      ready++
      const time = partition.nextTime
      const held = gather && partition.heldCount > 0
      if (best === null || (held && !bestHeld) || (held === bestHeld && time < bestTime)) {
        best = partition
        bestTime = time
        bestHeld = held
      }
    }
    return best === null ? null : { partition: best, alone: ready === 1 }
  }

  const holdings: Holdings = {
    owned,
    get count() {
      let count = 0
      for (const partition of owned.values()) count += partition.heldCount
      return count
    },
    takers: () => [...takers],
    attach: (taker) => void takers.add(taker),
    heldBy: (taker) =>
      [...owned.values()].flatMap((partition) =>
        [...partition.held()].filter(({ hold }) => hold?.taker === taker),
      ),
    detach: (taker) => void takers.delete(taker),
    readyCount() {
      let count = 0
      for (const partition of owned.values()) count += partition.readyCount
      return count
    },
    give(taker, max, ordered) {
      const out: LogRecord[] = []
      if (!takers.has(taker)) return out
      const now = Date.now()
      const tried = new Set<Partition>()
      for (let room = max; room > 0;) {
        const oldest = oldestOf(tried, taker.pulls)
        if (oldest === null) break
        const { partition, alone } = oldest
        const several = room > WANTS_MANY && !taker.pulls ? SEVERAL : 1
        const got = partition.take(alone ? room : several, taker, ordered, now)
        if (got.length === 0) {
          tried.add(partition)
          continue
        }
        room -= got.length
        for (const record of got) out.push(record)
        // Of equals the one that waited longest for its turn: as the sender went round them.
        const key = keyOf(partition)
        owned.delete(key)
        owned.set(key, partition)
      }
      return out
    },
    drop(partition, cause) {
      partition.gone = true
      owned.delete(keyOf(partition))
      const gone = new Map<Taker, LogRecord[]>()
      for (const record of partition.held()) {
        const taker = record.hold?.taker
        record.hold = null
        if (taker === undefined || taker === null) continue
        const list = gone.get(taker)
        if (list === undefined) gone.set(taker, [record])
        else list.push(record)
      }
      for (const [taker, records] of gone) taker.lost(records, cause)
    },
    dropAll(cause) {
      for (const partition of [...owned.values()]) holdings.drop(partition, cause)
    },
    parts(filter = () => true) {
      const parts: Record<string, number[]> = {}
      for (const each of owned.values()) if (filter(each)) (parts[each.topic] ??= []).push(each.number)
      return parts
    },
  }
  return holdings
}

function keyOf({ topic, number }: Partition): string {
  return `${topic}/${number}`
}
