import { Buffer } from 'node:buffer'
import type { LogRecord } from '../log/batch-reader.ts'
import { createHeap } from './heap.ts'

/** What one that waits costs besides its bytes, and all that one costs whose record was forgotten. */
const PLACE_BYTES = 64
/** Where there is room, what was forgotten is read again so long before it is due, in ms. */
const AHEAD_MS = 10_000

/** A record that waits. */
export interface Waiting {
  readonly offset: number
  /** In ms since the epoch. */
  readonly dueAt: number
  /** `null`: forgotten; the log has it. */
  readonly record: LogRecord | null
}

/**
 * Records of one partition that wait until they are due. Of more than half of `limit` bytes those that are due last are forgotten but for their places,
 * which may take the other half: what is due soon must not wait behind them to be read, nor may they fill the memory.
 */
export interface Delayed {
  readonly size: number
  /** There is no room for more places. */
  readonly isFull: boolean
  /** When the next record is due that is not due yet or lies here, in ms since the epoch; Infinity: none. */
  readonly nextDue: number
  /** `stays`: it waits for other reasons than the log tells, so it must not be forgotten. */
  add(waiting: Waiting, stays?: boolean): void
  /** Takes out the next that is due and lies here. */
  shift(now: number): LogRecord | undefined
  /** Whether some that are due have to be read again. */
  lacks(now: number): boolean
  /** Takes out forgotten ones whose time has come, or is near, the soonest first. */
  forgotten(max: number, now: number): Waiting[]
  /** Takes out those of the lowest offsets, without those that stay, by offset. */
  lowest(max: number): Waiting[]
  /** Drops what matches. */
  remove(matches: (offset: number) => boolean): void
  /** Those that stay. */
  staying(): readonly LogRecord[]
}

interface Here extends Waiting {
  readonly record: LogRecord
  readonly stays: boolean
}

export function createDelayed(limit: number): Delayed {
  const sooner = (a: Waiting, b: Waiting): number => a.dueAt - b.dueAt || a.offset - b.offset
  const here = createHeap<Here>(sooner)
  const gone = createHeap<Waiting>(sooner)
  let bytes = 0

  /** Down to half of what there may be: not again with the next one. */
  const forget = (): void => {
    const out = new Set<Here>()
    for (const each of [...here.all()].sort((a, b) => sooner(b, a))) {
      if (bytes <= limit / 4) break
      if (each.stays) continue
      bytes -= sizeOf(each.record)
      out.add(each)
      gone.push({ offset: each.offset, dueAt: each.dueAt, record: null })
    }
    here.remove((each) => out.has(each))
  }

  return {
    get size() {
      return here.size + gone.size
    },
    get isFull() {
      return (here.size + gone.size) * PLACE_BYTES >= limit / 2
    },
    get nextDue() {
      const [first = Number.POSITIVE_INFINITY, later = 0] = [here.peek()?.dueAt, gone.peek()?.dueAt]
      // One that is due and forgotten is waited for otherwise.
      return later > Date.now() ? Math.min(first, later) : first
    },
    add({ offset, dueAt, record }, stays = false) {
      if (record === null) {
        gone.push({ offset, dueAt, record })
        return
      }
      here.push({ offset, dueAt, record: standalone(record), stays })
      bytes += sizeOf(record)
      if (bytes > limit / 2) forget()
    },
    shift(now) {
      const first = here.peek()
      if (first === undefined || first.dueAt > now) return undefined
      here.pop()
      bytes -= sizeOf(first.record)
      return first.record
    },
    lacks: (now) => (gone.peek()?.dueAt ?? Number.POSITIVE_INFINITY) <= now,
    forgotten(max, now) {
      const until = bytes <= limit / 4 ? now + AHEAD_MS : now
      const out: Waiting[] = []
      for (let next = gone.peek(); next !== undefined && next.dueAt <= until; next = gone.peek()) {
        if (out.length === max) break
        out.push(next)
        gone.pop()
      }
      return out
    },
    lowest(max) {
      const all: Waiting[] = here.all().filter(({ stays }) => !stays)
      for (const each of gone.all()) all.push(each)
      const bound = Float64Array.from(all, ({ offset }) => offset).sort()[max - 1] ?? Number.POSITIVE_INFINITY
      const out = all.filter(({ offset }) => offset <= bound).sort((a, b) => a.offset - b.offset)
      const taken = new Set<Waiting>(out)
      for (const { record } of out) if (record !== null) bytes -= sizeOf(record)
      here.remove((each) => taken.has(each))
      gone.remove((each) => taken.has(each))
      return out
    },
    remove(matches) {
      here.remove(({ offset }) => matches(offset))
      gone.remove(({ offset }) => matches(offset))
      bytes = here.all().reduce((sum, { record }) => sum + sizeOf(record), 0)
    },
    staying: () => here.all().flatMap(({ record, stays }) => (stays ? [record] : [])),
  }
}

/** With bytes of its own: as views they would keep the whole answer that it came with for as long as it waits. */
function standalone(record: LogRecord): LogRecord {
  const { key, value, headers } = record
  const own = Buffer.allocUnsafeSlow((key?.length ?? 0) + (value?.length ?? 0) + headers.length)
  let at = 0
  const copy = (bytes: Buffer): Buffer => own.subarray(at, (at += bytes.copy(own, at)))
  return { ...record, key: key && copy(key), value: value && copy(value), headers: copy(headers) }
}

function sizeOf(record: LogRecord): number {
  return (record.key?.length ?? 0) + (record.value?.length ?? 0) + record.headers.length
}
