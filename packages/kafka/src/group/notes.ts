import { Buffer } from 'node:buffer'
import type { Range } from './tracker.ts'

/** What a commit says besides its offset. */
export interface CommitNotes {
  /** How often this partition was left uncleanly without progress. */
  readonly stalls: number
  /** Of those ends, how many count against which record; `null`: none against any. Absent: all against the one at `base`. */
  readonly suspect?: Suspect | null | undefined
  /** Somebody holds records of it: unless this is taken back, its end was unclean. */
  readonly held: boolean
  /** How many records were handed out. */
  readonly heldCount: number
  /** Subscriptions: which routing keys it takes. */
  readonly pattern: string | undefined
  /** Of the first partition: how many there were when the group began. What was added since was sent to it from its beginning on. */
  readonly partitions?: number | undefined
  /** Of the leader that wrote what was read last, where that is known: a log that is another one by now says so. */
  readonly epoch?: number | undefined
  /** Which topic of its name it is about, where that is known. */
  readonly topic?: string | undefined
  readonly done: readonly Range[]
  /** Failed runs of records that wait in place, by offset. */
  readonly attempts: ReadonlyMap<number, number>
}

export interface Suspect {
  readonly offset: number
  readonly count: number
}

const MARK = 'mq1'
/** Characters of a topic's id that tell it from others of its name. */
const TAG = 8

/** Characters of a commit's metadata that brokers take unless told otherwise. */
export const METADATA_LIMIT = 4096

/**
 * Notes as the metadata of a commit at `base`, at most `limit` characters: `mq1 h n=3 s=2 x=4:1 p=%23 c=8 e=5 t=1f0c a=5:1 d=<base64>`. Ranges that do not fit are
 * left out, the highest first: what they hold is repeated after a crash. `fits` says whether all went in.
 */
export function encodeNotes(
  base: number,
  notes: CommitNotes,
  limit: number,
): { readonly text: string; readonly fits: boolean } {
  let text = MARK
  if (notes.held) text += ' h'
  if (notes.heldCount > 0) text += ` n=${notes.heldCount}`
  if (notes.stalls > 0) text += ` s=${notes.stalls}`
  if (notes.suspect === null) text += ' x=-'
  else if (notes.suspect !== undefined) text += ` x=${notes.suspect.offset - base}:${notes.suspect.count}`
  if (notes.pattern !== undefined) text += ` p=${encodeURIComponent(notes.pattern)}`
  if (notes.partitions !== undefined) text += ` c=${notes.partitions}`
  if (notes.epoch !== undefined) text += ` e=${notes.epoch}`
  if (notes.topic !== undefined) text += ` t=${notes.topic}`
  let fits = true
  if (notes.attempts.size > 0) {
    const list = [...notes.attempts].map(([offset, count]) => `${offset - base}:${count}`).join(',')
    if (text.length + list.length + 3 <= limit / 2) text += ` a=${list}`
    else fits = false
  }
  if (notes.done.length === 0) return { text, fits }
  const room = Math.floor(((limit - text.length - 3) * 3) / 4) - 2
  const bytes: number[] = []
  let at = base
  for (const [from, to] of notes.done) {
    const before = bytes.length
    pushVarint(bytes, from - at)
    pushVarint(bytes, to - from)
    at = to
    if (bytes.length > room) {
      bytes.length = before
      fits = false
      break
    }
  }
  if (bytes.length > 0) text += ` d=${Buffer.from(bytes).toString('base64')}`
  return { text, fits }
}

/** Notes of a group that begins at `base`: nothing is handed out, and nothing is done behind it. */
export function notesAtStart(
  base: number,
  { pattern, partitions }: Pick<CommitNotes, 'pattern' | 'partitions'>,
): string {
  const notes = { stalls: 0, held: false, heldCount: 0, pattern, partitions, done: [], attempts: new Map() }
  return encodeNotes(base, notes, METADATA_LIMIT).text
}

/** What commits call a topic by; `undefined`: its id is not known. */
export function tagOf(topicId: string): string | undefined {
  return topicId === '' ? undefined : topicId.slice(0, TAG)
}

/**
 * Whether a commit is, as far as it says so, about this topic, and not about one of its name that is gone: brokers forget what was committed for that, unless
 * the commit came too late, or nobody was there to forget it.
 */
export function isAbout(topicId: string, metadata: string | null | undefined): boolean {
  const [told, asked] = [parseNotes(0, metadata).topic, tagOf(topicId)]
  return told === undefined || asked === undefined || told === asked
}

/** Whether a commit was made by this adapter, whatever its version. */
export function hasNotes(text: string | null): boolean {
  return text?.split(' ', 1)[0] === MARK
}

/** The inverse. What it does not understand, of another client or a later version, is as if it were not there. */
export function parseNotes(base: number, text: string | null | undefined): CommitNotes {
  const done: Range[] = []
  const attempts = new Map<number, number>()
  const notes = {
    stalls: 0,
    held: false,
    heldCount: 0,
    suspect: undefined as Suspect | null | undefined,
    pattern: undefined as string | undefined,
    partitions: undefined as number | undefined,
    epoch: undefined as number | undefined,
    topic: undefined as string | undefined,
    done,
    attempts,
  }
  const [mark, ...fields] = (text ?? '').split(' ')
  if (mark !== MARK) return notes
  for (const field of fields) {
    const value = field.slice(2)
    if (field === 'h') notes.held = true
    else if (field.startsWith('n=')) notes.heldCount = Number(value) || 0
    else if (field.startsWith('s=')) notes.stalls = Number(value) || 0
    else if (field.startsWith('x=')) notes.suspect = suspectOf(base, value)
    else if (field.startsWith('p=')) notes.pattern = decode(value)
    else if (field.startsWith('c=')) notes.partitions = Number(value) || undefined
    else if (/^e=\d+$/.test(field)) notes.epoch = Number(value)
    else if (/^t=[0-9a-f]+$/.test(field)) notes.topic = value
    else if (field.startsWith('a=')) {
      for (const pair of value.split(',')) {
        const [offset, count] = pair.split(':').map(Number)
        if (Number.isSafeInteger(offset) && Number.isSafeInteger(count))
          attempts.set(base + (offset as number), count as number)
      }
    } else if (field.startsWith('d=')) done.push(...readRanges(base, Buffer.from(value, 'base64')))
  }
  return notes
}

function suspectOf(base: number, text: string): Suspect | null {
  const [offset, count] = text.split(':').map(Number)
  return Number.isSafeInteger(offset) && Number.isSafeInteger(count)
    ? { offset: base + (offset as number), count: count as number }
    : null
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function readRanges(base: number, bytes: Buffer): Range[] {
  const out: Range[] = []
  let i = 0
  const varint = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[i++]
      if (byte === undefined) return Number.NaN
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  for (let at = base; i < bytes.length;) {
    const from = at + varint()
    const to = from + varint()
    if (!Number.isSafeInteger(to) || to <= from) return out
    out.push([from, to])
    at = to
  }
  return out
}

function pushVarint(bytes: number[], value: number): void {
  let left = value
  while (left > 127) {
    bytes.push((left % 128) | 128)
    left = Math.floor(left / 128)
  }
  bytes.push(left)
}
