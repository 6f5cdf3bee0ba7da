import { type Buffer } from 'node:buffer'
import { needs } from './bytes.ts'

export interface ZstdFrame {
  readonly start: number
  readonly end: number
  /** What it inflates to, or, where the frame does not say, the most that it can inflate to. */
  readonly size: number
  /** Whether the frame says its size. */
  readonly declared: boolean
}

// https://datatracker.ietf.org/doc/html/rfc8878#section-3
const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50
const MOST_PER_BLOCK = 128 * 1024
const DICTIONARY_BYTES = [0, 1, 2, 4] as const

/** Walks over frames without inflating anything. Throws for what is none, and for one that ends early. */
export function zstdFrames(bytes: Buffer): ZstdFrame[] {
  const frames: ZstdFrame[] = []
  let at = 0
  while (at < bytes.length) {
    needs(bytes, at + 5, 'Zstandard frame')
    const magic = bytes.readUInt32LE(at)
    if (magic >= SKIPPABLE && magic <= SKIPPABLE + 15) {
      needs(bytes, at + 8, 'Zstandard frame')
      at += 8 + bytes.readUInt32LE(at + 4)
      needs(bytes, at, 'Zstandard frame')
      continue
    }
    if (magic !== MAGIC) throw new RangeError('no Zstandard frame: the magic number is missing')
    const frame = zstdFrame(bytes, at)
    frames.push(frame)
    at = frame.end
  }
  if (frames.length === 0) throw new RangeError('no Zstandard frame: there are no bytes')
  return frames
}

function zstdFrame(bytes: Buffer, start: number): ZstdFrame {
  const descriptor = bytes[start + 4] as number
  const single = (descriptor & 0x20) !== 0
  const dictionary = DICTIONARY_BYTES[descriptor & 3] as number
  const sizeField = descriptor >> 6
  const sizeBytes = sizeField === 0 ? (single ? 1 : 0) : 1 << sizeField
  const sizeAt = start + 5 + (single ? 0 : 1) + dictionary
  let at = sizeAt + sizeBytes
  needs(bytes, at, 'Zstandard frame')
  const declared = declaredSize(bytes, sizeAt, sizeBytes)

  let most = 0
  for (let last = false; !last;) {
    needs(bytes, at + 3, 'Zstandard frame')
    const header = bytes.readUIntLE(at, 3)
    last = (header & 1) === 1
    const type = (header >> 1) & 3
    const length = header >> 3
    if (type === 3) throw new RangeError('no Zstandard frame: a block has the reserved type')
    // Raw and repeated blocks say what they become; the second has a single byte of content.
    most += type === 2 ? MOST_PER_BLOCK : length
    at += 3 + (type === 1 ? 1 : length)
  }
  const end = at + (descriptor & 4 ? 4 : 0)
  needs(bytes, end, 'Zstandard frame')
  return { start, end, size: declared ?? most, declared: declared !== undefined }
}

function declaredSize(bytes: Buffer, at: number, length: number): number | undefined {
  switch (length) {
    case 0:
      return undefined
    case 1:
      return bytes.readUInt8(at)
    case 2:
      return bytes.readUInt16LE(at) + 256
    case 4:
      return bytes.readUInt32LE(at)
    default:
      return Number(bytes.readBigUInt64LE(at))
  }
}
