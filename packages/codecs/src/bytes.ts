import { Buffer } from 'node:buffer'

/** The same memory as a Buffer: what the native codecs and `read…LE` want. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Throws when a body would inflate beyond what its receiver allows, before any of it is inflated. */
export function refuseAbove(size: number, maxBytes: number, format: string): void {
  if (size > maxBytes)
    throw new RangeError(`${format} would inflate to ${size} bytes; at most ${maxBytes} are allowed`)
}

/** Throws when `bytes` end before `end`. */
export function needs(bytes: Uint8Array, end: number, format: string): void {
  if (end > bytes.length) throw new RangeError(`${format} ends early: truncated after ${bytes.length} bytes`)
}
