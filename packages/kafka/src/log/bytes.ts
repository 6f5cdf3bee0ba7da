import { Buffer } from 'node:buffer'
/** Writes the primitives of Kafka's protocol into a buffer that grows. */
export interface Writer {
  int8(value: number): Writer
  int16(value: number): Writer
  int32(value: number): Writer
  int64(value: number): Writer
  string(value: string | null): Writer
  /** Of the newer requests: a number of seven bits a byte, and a string behind one. */
  uvarint(value: number): Writer
  compactString(value: string): Writer
  raw(value: Uint8Array): Writer
  /** Four bytes to be filled in later; answers where. */
  hole(): number
  fill(at: number, value: number): void
  readonly length: number
  done(): Buffer
}

export function createWriter(size = 256): Writer {
  let buffer = Buffer.allocUnsafe(size)
  let at = 0
  const room = (bytes: number): void => {
    if (at + bytes <= buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(at + bytes, buffer.length * 2))
    buffer.copy(larger, 0, 0, at)
    buffer = larger
  }
  const writer: Writer = {
    int8(value) {
      room(1)
      at = buffer.writeInt8(value, at)
      return writer
    },
    int16(value) {
      room(2)
      at = buffer.writeInt16BE(value, at)
      return writer
    },
    int32(value) {
      room(4)
      at = buffer.writeInt32BE(value, at)
      return writer
    },
    int64(value) {
      room(8)
      at = buffer.writeBigInt64BE(BigInt(value), at)
      return writer
    },
    string(value) {
      if (value === null) return writer.int16(-1)
      const length = Buffer.byteLength(value)
      writer.int16(length)
      room(length)
      at += buffer.write(value, at)
      return writer
    },
    uvarint(value) {
      room(5)
      for (; value > 127; value >>>= 7) buffer[at++] = (value & 127) | 128
      buffer[at++] = value
      return writer
    },
    compactString(value) {
      const length = Buffer.byteLength(value)
      writer.uvarint(length + 1)
      room(length)
      at += buffer.write(value, at)
      return writer
    },
    raw(value) {
      room(value.length)
      buffer.set(value, at)
      at += value.length
      return writer
    },
    hole() {
      room(4)
      at += 4
      return at - 4
    },
    fill(where, value) {
      buffer.writeInt32BE(value, where)
    },
    get length() {
      return at
    },
    done: () => buffer.subarray(0, at),
  }
  return writer
}

/** Reads the primitives of Kafka's protocol. Throws RangeError past the end. */
export interface Reader {
  int8(): number
  int16(): number
  int32(): number
  int64(): number
  string(): string | null
  /** A view, not a copy. */
  raw(length: number): Buffer
  array<T>(read: () => T): T[]
  /** Of the newer answers: lengths are one more than they are, 0 is `null`. */
  uvarint(): number
  compactString(): string | null
  compactArray<T>(read: () => T): T[]
  /** Fields that were added later, and that nobody here knows. */
  tags(): void
  readonly left: number
}

export function createReader(buffer: Buffer): Reader {
  let at = 0
  const reader: Reader = {
    int8: () => buffer.readInt8(at++),
    int16() {
      at += 2
      return buffer.readInt16BE(at - 2)
    },
    int32() {
      at += 4
      return buffer.readInt32BE(at - 4)
    },
    int64() {
      at += 8
      return Number(buffer.readBigInt64BE(at - 8))
    },
    string() {
      const length = reader.int16()
      if (length < 0) return null
      at += length
      return buffer.toString('utf8', at - length, at)
    },
    raw(length) {
      at += length
      return buffer.subarray(at - length, at)
    },
    array(read) {
      const count = reader.int32()
      const out = []
      for (let i = 0; i < count; i++) out.push(read())
      return out
    },
    uvarint() {
      let value = 0
      let shift = 0
      let byte: number
      do {
        byte = buffer.readUInt8(at++)
        value |= (byte & 127) << shift
        shift += 7
      } while (byte > 127)
      return value >>> 0
    },
    compactString() {
      const length = reader.uvarint() - 1
      return length < 0 ? null : reader.raw(length).toString()
    },
    compactArray(read) {
      const count = reader.uvarint() - 1
      const out = []
      for (let i = 0; i < count; i++) out.push(read())
      return out
    },
    tags() {
      for (let count = reader.uvarint(); count > 0; count--) {
        reader.uvarint()
        reader.raw(reader.uvarint())
      }
    },
    get left() {
      return buffer.length - at
    },
  }
  return reader
}
