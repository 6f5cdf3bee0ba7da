import { Buffer } from 'node:buffer'
import { CODEC, compress, type Compression } from './codecs.ts'
import { crc32c } from './crc32c.ts'

/** What one record holds. Header names and values alternate. */
export interface RecordParts {
  readonly timestamp: number
  readonly key: string | Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly (string | Uint8Array | null)[]
}

/** Bytes of a batch before its first record. */
const HEADER = 61

/** Encodes records as one batch of the format that every broker since 0.11 keeps. */
export function encodeBatch(records: readonly RecordParts[], compression: Compression): Buffer {
  const first = records[0] as RecordParts
  let latest = first.timestamp
  let size = HEADER
  for (const { key, value, headers, timestamp } of records) {
    if (timestamp > latest) latest = timestamp
    size += 40 + (value?.length ?? 0) + (key === null ? 0 : key.length * 3)
    for (const part of headers)
      size += 5 + (part === null ? 0 : typeof part === 'string' ? part.length * 3 : part.length)
  }
  let buffer = Buffer.allocUnsafe(size)
  let at = HEADER

  const varint = (value: number): void => {
    let n = ((value << 1) ^ (value >> 31)) >>> 0
    while (n > 127) {
      buffer[at++] = (n & 127) | 128
      n >>>= 7
    }
    buffer[at++] = n
  }
  const varlong = (value: number): void => {
    if (value >= -0x40000000 && value < 0x40000000) return varint(value)
    let n = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
    while (n > 127n) {
      buffer[at++] = Number(n & 127n) | 128
      n >>= 7n
    }
    buffer[at++] = Number(n)
  }
  const bytes = (part: string | Uint8Array | null): void => {
    if (part === null) varint(-1)
    else if (typeof part === 'string') {
      // Short ASCII, which nearly every header is, needs neither a look ahead nor a native call.
      if (part.length < 64 && ascii(part)) return
      const encoded = Buffer.byteLength(part)
      varint(encoded)
      at += buffer.write(part, at)
    } else {
      varint(part.length)
      buffer.set(part, at)
      at += part.length
    }
  }
  const ascii = (text: string): boolean => {
    const { length } = text
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) return false
      buffer[at + 1 + i] = code
    }
    buffer[at] = length << 1
    at += length + 1
    return true
  }

  for (let i = 0; i < records.length; i++) {
    const { timestamp, key, value, headers } = records[i] as RecordParts
    const start = at
    // As long as the length will most likely be; what follows moves where it is not.
    at += value === null || value.length < 8000 ? 2 : 3
    const assumed = at
    buffer[at++] = 0
    varlong(timestamp - first.timestamp)
    varint(i)
    bytes(key)
    bytes(value)
    varint(headers.length >> 1)
    for (const part of headers) bytes(part)
    const end = at
    const length = end - assumed
    at = start
    if (sizeOf(length) !== assumed - start) buffer.copyWithin(start + sizeOf(length), assumed, end)
    varint(length)
    at += length
  }

  if (compression !== 'none') {
    const packed = compress(buffer.subarray(HEADER, at), compression)
    const whole = Buffer.allocUnsafe(HEADER + packed.length)
    whole.set(packed, HEADER)
    buffer = whole
    at = whole.length
  }
  buffer.fill(0, 0, 8)
  buffer.writeInt32BE(at - 12, 8)
  buffer.writeInt32BE(-1, 12)
  buffer[16] = 2
  buffer.writeInt16BE(CODEC[compression], 21)
  buffer.writeInt32BE(records.length - 1, 23)
  buffer.writeBigInt64BE(BigInt(first.timestamp), 27)
  buffer.writeBigInt64BE(BigInt(latest), 35)
  // No producer id, epoch or sequence: the producer is not idempotent.
  buffer.fill(255, 43, 57)
  buffer.writeInt32BE(records.length, 57)
  buffer.writeInt32BE(crc32c(buffer, 21, at), 17)
  return buffer.subarray(0, at)
}

/** Bytes of a length as a varint. */
function sizeOf(length: number): number {
  return length < 64 ? 1 : length < 8192 ? 2 : length < 1 << 20 ? 3 : length < 1 << 27 ? 4 : 5
}
