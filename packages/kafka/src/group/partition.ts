import type { LogRecord } from '../log/batch-reader.ts'
import type { Taker } from './consumer-contract.ts'
import { createDelayed } from './delayed.ts'
import { type Hold, NO_HISTORY, type Partition, type PartitionStart } from './partition-contract.ts'
import { encodeNotes, parseNotes, tagOf, type Suspect } from './notes.ts'
import { createTracker } from './tracker.ts'
import { deliverAtOf, removalOf } from '../wire.ts'

/** From so many unclean ends on, records are handed out one by one, each committed before the next: the one that kills is found. */
const SERIAL_FROM = 2

/** Bytes that wait to be handed out, above which it is not read on. */
const HIGH_WATER = 1024 * 1024
/** Most bytes that are read ahead for removals. */
const MOST_AHEAD = 32 * 1024 * 1024

export function createPartition(start: PartitionStart): Partition {
  const before = parseNotes(start.offset, start.metadata)
  const tracker = createTracker(start.offset, before.done)
  /** Unclean ends without progress, and those of them that count against one record: the one that was handed out alone, or else the first one. */
  const ended = before.held ? 1 : 0
  let stalls = before.stalls + ended
  let suspect: Suspect | null =
    before.suspect === undefined
      ? { offset: start.offset, count: stalls }
      : before.suspect && { ...before.suspect, count: before.suspect.count + ended }
  let stalledAt = start.offset
  let ready: LogRecord[] = []
  let head = 0
  let readyBytes = 0
  const delayed = createDelayed(start.delayedBytes)
  const held = new Map<number, LogRecord>()
  const failures = new Map<number, number>(before.attempts)
  const firstFailures = new Map<number, number>()
  const returns = new Map<number, number>()
  const blockedKeys = new Map<string, number>()
  /** Where what a damaged record stands for begins, by its offset. */
  const damagedFrom = new Map<number, number>()
  let holder: Taker | null = null
  let last = ''
  let lastOffset = -1
  /** Whom an unclean end counts against, as the group knows. */
  let told = -1
  let fits = true
  let pinnedBy: readonly number[] = []
  let readAheadTo: number | null = start.readsAhead ? -1 : null

  const moved = (): void => {
    // Progress clears the suspicion. Whether the first one is delayed, and so above suspicion, is not known where others are.
    if (tracker.base > stalledAt || (suspect !== null && tracker.isDone(suspect.offset))) {
      stalledAt = tracker.base
      stalls = 0
      suspect = delayed.size > 0 ? null : { offset: stalledAt, count: 0 }
      if (failures.size === 0) return
      for (const offset of failures.keys()) if (offset < tracker.base) failures.delete(offset)
      for (const offset of firstFailures.keys()) if (offset < tracker.base) firstFailures.delete(offset)
    }
  }
  const insert = (record: LogRecord): void => {
    readyBytes += sizeOf(record)
    if (head === ready.length || (ready[ready.length - 1] as LogRecord).offset < record.offset) {
      ready.push(record)
      return
    }
    if (head > 0 && record.offset < (ready[head] as LogRecord).offset) {
      ready[--head] = record
      return
    }
    let low = head
    let high = ready.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ready[middle] as LogRecord).offset < record.offset) low = middle + 1
      else high = middle
    }
    ready.splice(low, 0, record)
  }
  /** Stands for what is not done yet of its batch: an earlier owner may have been able to read it. None of it is done before this record is. */
  const acceptDamaged = (record: LogRecord, from: number): void => {
    let { offset } = record
    while (offset >= from && tracker.isDone(offset)) offset--
    if (offset < from) return
    damagedFrom.set(offset, from)
    insert(offset === record.offset ? record : { ...record, offset })
  }
  const done = (offset: number): void => {
    tracker.complete(damagedFrom.get(offset) ?? offset, offset + 1)
    damagedFrom.delete(offset)
  }
  const delay = (record: LogRecord, dueAt: number): void => {
    // Nobody had it yet, or it was given back alive.
    if (suspect?.offset === record.offset) suspect = null
    const { offset } = record
    delayed.add({ offset, dueAt, record }, failures.has(offset))
  }
  const promote = (now: number): void => {
    for (let first = delayed.shift(now); first !== undefined; first = delayed.shift(now)) {
      unblock(first)
      insert(first)
    }
  }
  const block = (record: LogRecord): void => {
    const name = nameOfKey(record)
    if (name !== null) blockedKeys.set(name, (blockedKeys.get(name) ?? 0) + 1)
  }
  const unblock = (record: LogRecord): void => {
    const name = nameOfKey(record)
    if (name === null || !failures.has(record.offset)) return
    const count = (blockedKeys.get(name) ?? 0) - 1
    if (count > 0) blockedKeys.set(name, count)
    else blockedKeys.delete(name)
  }
  const isSerial = (): boolean => stalls >= SERIAL_FROM
  /** Only once the group was told whom an unclean end counts against; until then it is taken back. */
  const accuse = (out: LogRecord[]): void => {
    const record = out[0]
    if (record === undefined || told === record.offset) return
    out.length = 0
    partition.giveBack(record)
    if (suspect?.offset !== record.offset) suspect = { offset: record.offset, count: 0 }
  }
  /** Nothing is handed out yet: what removes it may follow. */
  const readsAhead = (): boolean => {
    if (readAheadTo === null) return false
    if (readAheadTo >= 0 && (partition.position >= readAheadTo || readyBytes >= MOST_AHEAD))
      readAheadTo = null
    return readAheadTo !== null
  }

  const partition: Partition = {
    topic: start.topic,
    topicId: start.topicId,
    number: start.number,
    tracker,
    position: start.offset,
    epoch: start.epoch ?? -1,
    highWatermark: -1,
    gone: false,
    leavingSince: null,
    trimmed: start.offset,
    droppedTo: start.offset,
    get isFull() {
      return readyBytes >= HIGH_WATER && !readsAhead()
    },
    delayed,
    get readyCount() {
      if (partition.leavingSince !== null || partition.gone) return 0
      promote(Date.now())
      return readsAhead() ? 0 : ready.length - head
    },
    get nextTime() {
      return ready[head]?.timestamp ?? Number.POSITIVE_INFINITY
    },
    get heldCount() {
      return held.size
    },
    get beside() {
      return start.beside?.()
    },
    blocks: (key) => blockedKeys.has(key),
    isOthers: (taker) => holder !== taker && held.size > 0,
    held: () => held.values(),
    get fits() {
      return fits
    },

    accept(records, next) {
      if (readAheadTo === -1) readAheadTo = partition.highWatermark
      let at = partition.position
      for (const record of records) {
        const { offset } = record
        if (offset < at) continue
        const { damage } = record
        const first = damage === undefined ? offset : Math.max(at, damage.from)
        // What is missing was compacted away, or belongs to a transaction.
        if (first > at) tracker.complete(at, first)
        at = offset + 1
        if (damage !== undefined) {
          acceptDamaged(record, first)
          continue
        }
        if (tracker.isDone(offset)) continue
        const removed = removalOf(record)
        if (removed !== null) {
          tracker.complete(offset)
          for (const each of removed) if (!held.has(each)) done(each)
          continue
        }
        const dueAt = deliverAtOf(record)
        if (dueAt > Date.now()) delay(record, dueAt)
        else insert(record)
      }
      if (next > at) tracker.complete(at, next)
      partition.position = Math.max(partition.position, next)
      moved()
    },

    take(max, by, ordered, now) {
      if (partition.gone || partition.leavingSince !== null) return []
      const { beside } = partition
      if (ordered && (partition.isOthers(by) || beside?.isOthers(by) === true)) return []
      if (readsAhead()) return []
      promote(now)
      let room = max
      if (isSerial()) {
        if (held.size > 0 || lastOffset < tracker.base) return []
        room = 1
      }
      const out: LogRecord[] = []
      const hold: Hold = { partition, taker: by }
      // Consumers keep the messages of a key apart by themselves, whoever receives one after the other does not.
      const busy =
        ordered && by?.pulls === true
          ? new Set([...held.values(), ...(beside?.held() ?? [])].map(nameOfKey))
          : null
      let skipped: LogRecord[] | null = null
      while (out.length < room && head < ready.length) {
        const record = ready[head] as LogRecord
        ready[head++] = undefined as never
        if (tracker.isDone(record.offset)) {
          readyBytes -= sizeOf(record)
          continue
        }
        const looks = blockedKeys.size > 0 || busy !== null || beside !== undefined
        const key = looks ? nameOfKey(record) : null
        if (key !== null && (partition.blocks(key) || beside?.blocks(key) || busy?.has(key))) {
          ;(skipped ??= []).push(record)
          continue
        }
        busy?.add(key)
        readyBytes -= sizeOf(record)
        held.set(record.offset, record)
        record.hold = hold
        out.push(record)
      }
      if (isSerial()) accuse(out)
      if (head === ready.length) {
        ready = []
        head = 0
      } else if (head > 1_024 && head > ready.length >> 1) {
        ready = ready.slice(head)
        head = 0
      }
      if (skipped !== null) {
        for (const record of skipped) {
          readyBytes -= sizeOf(record)
          insert(record)
        }
      }
      if (out.length > 0) holder = by
      return out
    },

    takeAside: (max) => (isSerial() ? [] : partition.take(max, null, false, Date.now())),
    pin() {
      partition.leavingSince = null
      pinnedBy = [...held.keys()]
    },
    get isPinned() {
      if (pinnedBy.length > 0) pinnedBy = pinnedBy.filter((offset) => held.has(offset))
      return pinnedBy.length > 0
    },
    isHeld: (offset) => held.has(offset),
    complete(offset) {
      held.delete(offset)
      done(offset)
      if (failures.size > 0) {
        failures.delete(offset)
        firstFailures.delete(offset)
      }
      if (returns.size > 0) returns.delete(offset)
      moved()
    },
    giveBack(record) {
      record.hold = null
      held.delete(record.offset)
      insert(record)
    },
    retryInPlace(record, dueAt, now) {
      held.delete(record.offset)
      failures.set(record.offset, (failures.get(record.offset) ?? 0) + 1)
      if (!firstFailures.has(record.offset)) firstFailures.set(record.offset, now)
      block(record)
      delay(record, dueAt)
    },
    leftBehind: (offset) => void returns.set(offset, (returns.get(offset) ?? 0) + 1),
    historyOf(offset) {
      const own = suspect?.offset === offset ? suspect.count : 0
      if (own === 0 && failures.size === 0 && returns.size === 0) return NO_HISTORY
      return {
        failures: failures.get(offset) ?? 0,
        firstFailedAt: firstFailures.get(offset),
        stalls: own + (returns.get(offset) ?? 0),
      }
    },

    dropBelow(offset) {
      partition.droppedTo = Math.max(partition.droppedTo, offset)
      if (offset <= tracker.base) return
      const kept = [...held.keys()].filter((each) => each < offset).sort((a, b) => a - b)
      let from = tracker.base
      for (const each of kept) {
        if (each > from) tracker.complete(from, each)
        from = each + 1
      }
      if (offset > from) tracker.complete(from, offset)
      const gone = (record: LogRecord): boolean => record.offset < offset && !held.has(record.offset)
      ready = ready.slice(head).filter((record) => !gone(record))
      head = 0
      readyBytes = ready.reduce((sum, record) => sum + sizeOf(record), 0)
      delayed.remove((each) => each < offset)
      blockedKeys.clear()
      for (const record of delayed.staying()) block(record)
      if (offset > partition.position) {
        partition.position = offset
        partition.epoch = -1
      }
      moved()
    },

    delayAgain(waiting) {
      const now = Date.now()
      for (const each of waiting) {
        if (tracker.isDone(each.offset)) continue
        // What is due must not be forgotten for lack of room.
        if (each.record !== null && each.dueAt <= now) insert(each.record)
        else delayed.add(each)
      }
    },
    commitEntry(isHeldNow, limit) {
      const notes = {
        stalls,
        suspect: suspect?.offset === tracker.base && suspect.count === stalls ? undefined : suspect,
        held: isHeldNow,
        heldCount: held.size,
        pattern: start.pattern,
        partitions: start.partitions,
        epoch: partition.epoch < 0 ? undefined : partition.epoch,
        topic: tagOf(start.topicId),
        done: tracker.ranges(),
        attempts: failures,
      }
      const encoded = encodeNotes(tracker.base, notes, limit)
      fits = encoded.fits
      if (tracker.base === lastOffset && encoded.text === last) return null
      return { offset: tracker.base, metadata: encoded.text }
    },
    get isSettled() {
      return held.size === 0 && last !== '' && partition.commitEntry(false, last.length + 1_024) === null
    },
    committed(offset, metadata) {
      lastOffset = offset
      last = metadata
      const { suspect: named } = parseNotes(offset, metadata)
      told = named === undefined ? offset : (named?.offset ?? -1)
    },
  }
  return partition
}

function nameOfKey({ key }: LogRecord): string | null {
  return key === null ? null : key.toString('latin1')
}

function sizeOf(record: LogRecord): number {
  return 64 + (record.value?.length ?? 0) + record.headers.length
}
