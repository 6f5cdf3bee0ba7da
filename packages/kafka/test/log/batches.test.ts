import { describe, expect, it } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { decodeBatches, eachHeader, type LogRecord } from '../../src/log/batch-reader.ts'
import { encodeBatch, type RecordParts } from '../../src/log/batch-writer.ts'
import { CODEC, compress, type Compression, prepareCodec } from '../../src/log/codecs.ts'
import { crc32c } from '../../src/log/crc32c.ts'
import { murmur2, partitionOf } from '../../src/log/murmur2.ts'

const answer = (records: Buffer) => ({
  topic: 't',
  partition: 0,
  error: 0,
  highWatermark: 0,
  logStart: 0,
  aborted: [],
  records,
})
const record = (more: Partial<RecordParts> = {}): RecordParts => ({
  timestamp: 1_700_000_000_000,
  key: null,
  value: Buffer.from('v'),
  headers: [],
  ...more,
})
const headersOf = (each: LogRecord) => {
  const out: [string, string | null][] = []
  eachHeader(each, (name, value) => out.push([name.toString(), value === null ? null : value.toString()]))
  return out
}
/** CRC-32C by its definition. */
const bitwise = (bytes: Uint8Array) => {
  let c = -1
  for (const byte of bytes) {
    c ^= byte
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  }
  return ~c
}
/** The broker writes the first offset into the batch. */
const at = (offset: number, batch: Buffer) => {
  batch.writeBigInt64BE(BigInt(offset), 0)
  return batch
}

describe('record batches', () => {
  it.each<Compression>(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
    'survive a round trip: %s',
    async (codec) => {
      await prepareCodec(CODEC[codec])
      const long = 'ü'.repeat(100)
      const given = [
        record({ key: 'k', headers: ['a', '1', 'emoji', '🙂', long, long, 'null', null] }),
        record({ timestamp: 1_600_000_000_000, value: null, headers: [Buffer.from([1]), Buffer.from('x')] }),
        record({ timestamp: 1_700_000_099_999, value: Buffer.alloc(0), key: Buffer.from('ключ') }),
        ...Array.from({ length: 300 }, (_, i) =>
          record({ value: Buffer.from('abc'.repeat(i)), key: `k${i}` }),
        ),
        record({ value: randomBytes(40_000) }),
      ]
      const { records, next } = await decodeBatches(answer(at(7, encodeBatch(given, codec))), 0)
      expect(next).toBe(7 + given.length)
      expect(records.map((r) => [r.offset, r.timestamp, r.key?.toString() ?? null, r.value])).toEqual(
        given.map((r, i) => [7 + i, r.timestamp, r.key === null ? null : String(r.key), r.value]),
      )
      expect(headersOf(records[0] as LogRecord)).toEqual([['a', '1'], ['emoji', '🙂'], [long, long], ['null', null]]) // prettier-ignore
      expect(records.every(({ damage }) => damage === undefined)).toBe(true)
    },
  )

  it('survive it whatever a record is long', async () => {
    // Around each length that takes one more byte to write, and with headers that make a short value a long record.
    const lengths = [0, 1, 50, 60, 64, 7_990, 8_000, 8_100, 8_192, 8_200, (1 << 20) - 20, 1 << 20]
    const given = lengths.flatMap((n) => [
      record({ value: randomBytes(n) }),
      record({ value: null, headers: ['h', Buffer.alloc(n, 'x')] }),
      record({ value: Buffer.from('v'), key: 'k'.repeat(Math.min(n, 10_000)) }),
    ])
    const { records } = await decodeBatches(answer(at(0, encodeBatch(given, 'none'))), 0)
    // Not by `toEqual`, which looks at bytes one by one.
    const seen = (value: Uint8Array | null) => (value === null ? null : Buffer.from(value).toString('latin1'))
    records.forEach(({ value, key }, i) => {
      expect(seen(value) === seen(given[i]?.value ?? null)).toBe(true)
      expect(key?.toString() ?? null).toBe(given[i]?.key)
    })
    expect(records.map((r) => headersOf(r)[0]?.[1]?.length)).toEqual(given.map((r) => r.headers[1]?.length))
  })

  it('in the framing of Java are read: snappy as a stream of blocks', async () => {
    await prepareCodec(CODEC.snappy)
    const plain = at(3, encodeBatch([record({ value: Buffer.from('abc'.repeat(50)) }), record()], 'none'))
    const body = plain.subarray(61)
    const blocks = [body.subarray(0, 40), body.subarray(40)].map((part) =>
      Buffer.from(compress(part, 'snappy')),
    )
    const framed = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])]
    for (const block of blocks) {
      const length = Buffer.alloc(4)
      length.writeInt32BE(block.length)
      framed.push(length, block)
    }
    const batch = Buffer.concat([plain.subarray(0, 61), ...framed])
    batch.writeInt32BE(batch.length - 12, 8)
    batch.writeInt16BE(CODEC.snappy, 21)
    const { records } = await decodeBatches(answer(batch), 0)
    expect(records.map(({ offset, damage, value }) => [offset, damage, value?.length])).toEqual([[3, undefined, 150], [4, undefined, record().value?.length]]) // prettier-ignore
  })

  it('begin where it was asked, and leave the one that is cut off for later', async () => {
    const batch = at(10, encodeBatch([record(), record(), record()], 'none'))
    const cut = Buffer.concat([batch, at(13, encodeBatch([record()], 'none')).subarray(0, 66)])
    const { records, next } = await decodeBatches(answer(cut), 11)
    expect(records.map(({ offset }) => offset)).toEqual([11, 12])
    expect(next).toBe(13)
  })

  it.each([
    ['an unknown codec', (batch: Buffer) => batch.writeInt16BE(7, 21)],
    ['bytes that are no gzip', (batch: Buffer) => batch.writeInt16BE(1, 21)],
    ['bytes that are no snappy', (batch: Buffer) => batch.writeInt16BE(2, 21)],
    ['bytes that are no lz4', (batch: Buffer) => batch.writeInt16BE(3, 21)],
    ['bytes that are no zstd', (batch: Buffer) => batch.writeInt16BE(4, 21)],
    ['a record longer than its batch', (batch: Buffer) => batch.fill(0x7f, 61, 63)],
    ['a value longer than its record', (batch: Buffer) => batch.writeInt8(2 * 6, 66)],
    ['fewer records than it holds', (batch: Buffer) => batch.writeInt32BE(1, 57)],
    ['more headers than there is room for', (batch: Buffer) => batch.writeInt8(126, 68)],
  ])('with %s become one damaged record, and what follows is read', async (_name, damage) => {
    const bad = at(0, encodeBatch([record(), record()], 'none'))
    damage(bad)
    const { records, next } = await decodeBatches(
      answer(Buffer.concat([bad, at(2, encodeBatch([record()], 'none'))])),
      0,
    )
    expect(records.map(({ offset, damage: why }) => [offset, why?.from])).toEqual([[1, 0], [2, undefined]]) // prettier-ignore
    expect(next).toBe(3)
  })

  it.each([0, -12, -1_000_000, 40])(
    'that say they have %i bytes end, and are one that is damaged',
    async (length) => {
      const bad = at(5, encodeBatch([record(), record()], 'none'))
      bad.writeInt32BE(length, 8)
      bad.writeInt32BE(-3, 23)
      const { records, next } = await decodeBatches(answer(bad), 5)
      expect(records.map(({ offset, damage }) => [offset, damage?.from])).toEqual([[5, 5]])
      expect(next).toBe(6)
    },
  )

  it.each([
    ['count', [0xfe, 0xff, 0xff, 0xff, 0x0f]],
    ['names', [0xfe, 0xff, 0xff, 0xff, 0x0f, 0x01]],
  ])('have no more headers than bytes, whatever their %s promise', (_, bytes) => {
    let seen = 0
    eachHeader({ headers: Buffer.from(bytes) } as LogRecord, () => seen++)
    expect(seen).toBe(0)
  })

  it('of a transaction that was given up are not seen', async () => {
    const transactional = (batch: Buffer, bits: number) => {
      batch.writeInt16BE(bits, 21)
      batch.writeBigInt64BE(5n, 43)
      return batch
    }
    const log = Buffer.concat([
      transactional(at(0, encodeBatch([record()], 'none')), 0x10),
      at(1, encodeBatch([record()], 'none')),
      transactional(at(2, encodeBatch([record()], 'none')), 0x30),
      transactional(at(3, encodeBatch([record()], 'none')), 0x10),
    ])
    const { records, next } = await decodeBatches(
      { ...answer(log), aborted: [{ producerId: 5, firstOffset: 0 }] },
      0,
    )
    expect(records.map(({ offset }) => offset)).toEqual([1, 3])
    expect(next).toBe(4)
  })

  it('carry the checksum that brokers check', () => {
    // RFC 3720, B.4
    expect(crc32c(Buffer.alloc(32), 0, 32) >>> 0).toBe(0x8a9136aa)
    expect(crc32c(Buffer.alloc(32, 255), 0, 32) >>> 0).toBe(0x62a8ab43)
    expect(crc32c(Buffer.from('123456789'), 0, 9) >>> 0).toBe(0xe3069283)
    // Of any part of any buffer the same as bit by bit.
    const bytes = randomBytes(100)
    for (let from = 0; from < 20; from++)
      for (let to = from; to <= 100; to++)
        expect(crc32c(bytes, from, to)).toBe(bitwise(bytes.subarray(from, to)))
  })
})

describe('partition of a key', () => {
  // From Kafka's own UtilsTest.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes as Java does: %s', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash)
  })
  it('is never negative', () => {
    for (const key of ['21', 'foobar', '', 'ü']) expect(partitionOf(key, 7)).toBeGreaterThanOrEqual(0)
  })
})
