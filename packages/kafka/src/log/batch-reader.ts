import { Buffer } from 'node:buffer'
import { decompress, prepareCodec } from './codecs.ts'
import type { Hold } from '../group/partition-contract.ts'
import type { FetchAnswer } from './protocol.ts'

/** A record as it lies in the log. Bytes are views of the answer it came with. */
export interface LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Encoded, from the count of headers on: most readers look at one or two. */
  readonly headers: Buffer
  /** It stands for a batch that could not be read; its offset is the last of them. The value then is the batch as it came. */
  readonly damage: Damage | undefined
  /** Where it was handed out to; `null` while it is with nobody. */
  hold: Hold | null
  /** What the holder made of it: handed out again, it is another. */
  delivery: object | null
}

export interface Damage {
  /** An unknown codec, damaged bytes. */
  readonly error: unknown
  /** The first offset that it stands for. */
  readonly from: number
}

export interface Decoded {
  readonly records: LogRecord[]
  /** Where to read on. At least what was asked for. */
  readonly next: number
  /** Of the leader that wrote the last batch, by which a log says whether it still holds that; -1: not known. */
  readonly epoch: number
}

const HEADER = 61
/** Bytes of the shortest batch of any format. */
const LEAST = 26
const NO_HEADERS = Buffer.from([0])

/**
 * Records of one partition from `from` on. Nothing in the log makes it fail: a batch in a codec that is not known, or with bytes that are
 * no records, becomes one record that says so, for the dead-letter queue; a batch that is cut off is left for the next fetch.
 */
export async function decodeBatches(
  answer: Pick<FetchAnswer, 'topic' | 'partition' | 'aborted' | 'records'>,
  from: number,
): Promise<Decoded> {
  const { records: bytes, topic, partition } = answer
  const records: LogRecord[] = []
  const aborted = [...answer.aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const dead = new Set<number>()
  let next = from
  let epoch = -1
  for (let at = 0; at + HEADER <= bytes.length;) {
    const base = Number(bytes.readBigInt64BE(at))
    const said = 12 + bytes.readInt32BE(at + 8)
    // One that ends before it begins does not say where the next one is: all that came is taken for it.
    const size = said < HEADER && bytes[at + 16] === 2 ? bytes.length - at : Math.max(said, LEAST)
    if (at + size > bytes.length) break
    const batch = bytes.subarray(at, at + size)
    at += size
    if (batch[16] !== 2) {
      // The format before 0.11: no broker that this adapter works with keeps it.
      records.push(
        damaged(topic, partition, base, batch, {
          error: new Error(`a record batch has the unsupported format ${String(batch[16])}`),
          from: base,
        }),
      )
      next = base + 1
      epoch = -1
      continue
    }
    const attributes = batch.readInt16BE(21)
    const last = base + Math.max(0, batch.readInt32BE(23))
    const producer = Number(batch.readBigInt64BE(43))
    while (aborted.length > 0 && (aborted[0] as { firstOffset: number }).firstOffset <= last) {
      dead.add((aborted.shift() as { producerId: number }).producerId)
    }
    next = Math.max(next, last + 1)
    epoch = batch.readInt32BE(12)
    if ((attributes & 0x20) !== 0) {
      // A transaction's end; what its producer writes afterwards belongs to another.
      dead.delete(producer)
      continue
    }
    if ((attributes & 0x10) !== 0 && dead.has(producer)) continue
    try {
      const codec = attributes & 7
      let body = batch.subarray(HEADER)
      if (codec !== 0) {
        await prepareCodec(codec)
        body = decompress(body, codec)
      }
      const first = Number(batch.readBigInt64BE(27))
      const append = (attributes & 8) !== 0 ? Number(batch.readBigInt64BE(35)) : null
      decodeRecords(topic, partition, base, last, first, append, batch.readInt32BE(57), body, from, records)
    } catch (error) {
      // Damaged bytes say nothing.
      epoch = -1
      if (last >= from)
        records.push(damaged(topic, partition, last, batch, { error, from: Math.max(base, from) }))
    }
  }
  return { records, next, epoch }
}

function damaged(topic: string, partition: number, offset: number, batch: Buffer, damage: Damage): LogRecord {
  return {
    topic,
    partition,
    offset,
    timestamp: Date.now(),
    key: null,
    value: batch,
    headers: NO_HEADERS,
    damage,
    hold: null,
    delivery: null,
  }
}

function decodeRecords(
  topic: string,
  partition: number,
  base: number,
  last: number,
  firstTimestamp: number,
  appendTime: number | null,
  count: number,
  body: Buffer,
  from: number,
  out: LogRecord[],
): void {
  const read: LogRecord[] = []
  let at = 0
  const varint = (): number => {
    let n = 0
    let shift = 0
    let byte: number
    do {
      if (at >= body.length) throw new RangeError('a record ends too early')
      byte = body[at++] as number
      if (shift < 28) n |= (byte & 127) << shift
      else n += (byte & 127) * 2 ** shift
      shift += 7
    } while (byte > 127)
    return n % 2 === 0 ? n / 2 : -(n + 1) / 2
  }
  const bytes = (): Buffer | null => {
    const length = varint()
    if (length < 0) return null
    if (at + length > body.length) throw new RangeError('a record ends too early')
    at += length
    return body.subarray(at - length, at)
  }
  for (let i = 0; i < count; i++) {
    const length = varint()
    const end = at + length
    if (length < 0 || end > body.length) throw new RangeError('a record ends too early')
    at++
    const timestamp = writable(appendTime ?? firstTimestamp + varint())
    if (appendTime !== null) varint()
    const offset = base + varint()
    const key = bytes()
    const value = bytes()
    const headersAt = at
    // Each header has two lengths at least.
    if (at >= end || varint() > (end - at) / 2) throw new RangeError('a record ends too early')
    if (offset < base || offset > last) throw new RangeError('a record lies outside of its batch')
    if (offset >= from)
      read.push({
        topic,
        partition,
        offset,
        timestamp,
        key,
        value,
        headers: body.subarray(headersAt, end),
        damage: undefined,
        hold: null,
        delivery: null,
      })
    at = end
  }
  if (at < body.length) throw new RangeError('a batch holds more than it says')
  for (const record of read) out.push(record)
}

/** A foreign client may write any time there is: one that no number here has could not be written once more. */
function writable(ms: number): number {
  return Math.min(Math.max(ms, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
}

/** Calls back with each header of a record, in order. */
export function eachHeader(record: LogRecord, see: (name: Buffer, value: Buffer | null) => void): void {
  const buffer = record.headers
  eachHeaderPlace(buffer, (nameAt, nameEnd, valueAt, valueEnd) =>
    see(buffer.subarray(nameAt, nameEnd), valueEnd < 0 ? null : buffer.subarray(valueAt, valueEnd)),
  )
}

/** The same by places in the encoded headers, which costs nothing for those that nobody looks at. No value: its end is -1. */
export function eachHeaderPlace(
  buffer: Buffer,
  see: (nameAt: number, nameEnd: number, valueAt: number, valueEnd: number) => void,
): void {
  let at = 0
  const varint = (): number => {
    let n = 0
    let shift = 0
    let byte: number
    do {
      byte = buffer[at++] ?? 0
      n |= (byte & 127) << shift
      shift += 7
    } while (byte > 127)
    return (n >>> 1) ^ -(n & 1)
  }
  const count = varint()
  // Damaged bytes may promise any number of any length.
  for (let i = 0; i < count && at < buffer.length; i++) {
    const nameLength = varint()
    if (nameLength < 0) return
    const nameAt = at
    at += nameLength
    const valueLength = varint()
    const valueAt = at
    if (valueLength > 0) at += valueLength
    see(nameAt, nameAt + nameLength, valueAt, valueLength < 0 ? -1 : at)
  }
}
