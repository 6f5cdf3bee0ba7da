import { Buffer } from 'node:buffer'

/** Writes the primitives of Kafka's protocol into a buffer that grows. */
export class Writer {
  #buffer: Buffer
  #at = 0

  constructor(size = 256) {
    this.#buffer = Buffer.allocUnsafe(size)
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#at + bytes, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }

  int8(value: number): this {
    this.#room(1)
    this.#at = this.#buffer.writeInt8(value, this.#at)
    return this
  }

  int16(value: number): this {
    this.#room(2)
    this.#at = this.#buffer.writeInt16BE(value, this.#at)
    return this
  }

  int32(value: number): this {
    this.#room(4)
    this.#at = this.#buffer.writeInt32BE(value, this.#at)
    return this
  }

  int64(value: number): this {
    this.#room(8)
    this.#at = this.#buffer.writeBigInt64BE(BigInt(value), this.#at)
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    return this.int16(Buffer.byteLength(value)).#text(value)
  }

  /** Of the newer requests: a number of seven bits a byte, and a string behind one. */
  uvarint(value: number): this {
    this.#room(5)
    for (; value > 127; value >>>= 7) this.#buffer[this.#at++] = (value & 127) | 128
    this.#buffer[this.#at++] = value
    return this
  }

  compactString(value: string): this {
    return this.uvarint(Buffer.byteLength(value) + 1).#text(value)
  }

  #text(value: string): this {
    this.#room(value.length * 3)
    this.#at += this.#buffer.write(value, this.#at)
    return this
  }

  raw(value: Uint8Array): this {
    this.#room(value.length)
    this.#buffer.set(value, this.#at)
    this.#at += value.length
    return this
  }

  /** Four bytes to be filled in later; answers where. */
  hole(): number {
    this.#room(4)
    this.#at += 4
    return this.#at - 4
  }

  fill(at: number, value: number): void {
    this.#buffer.writeInt32BE(value, at)
  }

  get length(): number {
    return this.#at
  }

  done(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }
}

const NO_TAGS: ReadonlyMap<number, Buffer> = new Map()

/** Reads the primitives of Kafka's protocol. Throws RangeError past the end. */
export class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  int8(): number {
    return this.#buffer.readInt8(this.#at++)
  }

  int16(): number {
    this.#at += 2
    return this.#buffer.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#buffer.readInt32BE(this.#at - 4)
  }

  int64(): number {
    this.#at += 8
    return Number(this.#buffer.readBigInt64BE(this.#at - 8))
  }

  string(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.raw(length).toString()
  }

  /** A view, not a copy. */
  raw(length: number): Buffer {
    this.#at += length
    return this.#buffer.subarray(this.#at - length, this.#at)
  }

  array<T>(read: () => T): T[] {
    return this.#items(this.int32(), read)
  }

  /** Of the newer answers: lengths are one more than they are, 0 is `null`. */
  uvarint(): number {
    let value = 0
    let shift = 0
    let byte: number
    do {
      byte = this.#buffer.readUInt8(this.#at++)
      value |= (byte & 127) << shift
      shift += 7
    } while (byte > 127)
    return value >>> 0
  }

  compactString(): string | null {
    const length = this.uvarint() - 1
    return length < 0 ? null : this.raw(length).toString()
  }

  compactArray<T>(read: () => T): T[] {
    return this.#items(this.uvarint() - 1, read)
  }

  #items<T>(count: number, read: () => T): T[] {
    const out: T[] = []
    for (let i = 0; i < count; i++) out.push(read())
    return out
  }

  /** Fields that were added later, or are seldom there, by their tags: nobody here knows most of them. */
  tags(): ReadonlyMap<number, Buffer> {
    let found: Map<number, Buffer> | null = null
    for (let count = this.uvarint(); count > 0; count--)
      (found ??= new Map()).set(this.uvarint(), this.raw(this.uvarint()))
    return found ?? NO_TAGS
  }
}
