import { Buffer } from 'node:buffer'
import { compressFrameSync, decompressFrameSync } from 'lz4-napi'
import { asBuffer, needs, refuseAbove } from './bytes.ts'

/** An LZ4 frame of independent blocks, without checksums: what every reader takes, Kafka's included. */
export function lz4Compress(bytes: Uint8Array): Buffer {
  return compressFrameSync(asBuffer(bytes))
}

/** The same with a checksum of the content, which readers of frames check: nothing else does that for a body. */
export function lz4CompressChecked(bytes: Uint8Array): Buffer {
  return compressFrameSync(asBuffer(bytes), { contentChecksum: true })
}

/** Throws for what is no LZ4 frame, for one that ends early, and for one that inflates to more than `maxBytes`. */
export function lz4Decompress(bytes: Uint8Array, maxBytes: number): Buffer {
  const frames = lz4Frames(asBuffer(bytes))
  // The decoder knows no bound, so the exact size is counted first, from the lengths inside of the blocks.
  let size = 0
  for (const frame of frames) {
    size += frame.size
    refuseAbove(size, maxBytes, 'LZ4 frame')
  }
  const parts = frames.map(({ start, end }) => decompressFrameSync(asBuffer(bytes).subarray(start, end)))
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

interface Frame {
  readonly start: number
  readonly end: number
  /** Inflated. */
  readonly size: number
}

// https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
const MAGIC = 0x184d2204
const SKIPPABLE = 0x184d2a50
const STORED = 0x80000000
const Flag = { CONTENT_CHECKSUM: 0x04, CONTENT_SIZE: 0x08, BLOCK_CHECKSUM: 0x10, DICTIONARY: 0x01 } as const

function lz4Frames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  let at = 0
  while (at < bytes.length) {
    needs(bytes, at + 7, 'LZ4 frame')
    const magic = bytes.readUInt32LE(at)
    if (magic >= SKIPPABLE && magic <= SKIPPABLE + 15) {
      needs(bytes, at + 8, 'LZ4 frame')
      at += 8 + bytes.readUInt32LE(at + 4)
      needs(bytes, at, 'LZ4 frame')
      continue
    }
    if (magic !== MAGIC) throw new RangeError('no LZ4 frame: the magic number is missing')
    const frame = lz4Frame(bytes, at)
    frames.push(frame)
    at = frame.end
  }
  if (frames.length === 0) throw new RangeError('no LZ4 frame: there are no bytes')
  return frames
}

function lz4Frame(bytes: Buffer, start: number): Frame {
  const flags = bytes[start + 4] as number
  if (flags & Flag.DICTIONARY)
    throw new RangeError('this LZ4 frame needs a dictionary, which is not supported')
  let at = start + 7 + (flags & Flag.CONTENT_SIZE ? 8 : 0)
  let size = 0
  for (;;) {
    needs(bytes, at + 4, 'LZ4 frame')
    const word = bytes.readUInt32LE(at)
    at += 4
    if (word === 0) break
    const end = at + (word & ~STORED)
    needs(bytes, end, 'LZ4 frame')
    size += word >= STORED ? end - at : blockSize(bytes, at, end)
    at = end + (flags & Flag.BLOCK_CHECKSUM ? 4 : 0)
  }
  const end = at + (flags & Flag.CONTENT_CHECKSUM ? 4 : 0)
  needs(bytes, end, 'LZ4 frame')
  return { start, end, size }
}

/**
 * What a block inflates to, without inflating it: the sum of its literals' and matches' lengths.
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
 */
function blockSize(bytes: Buffer, start: number, end: number): number {
  let size = 0
  let at = start
  const more = (nibble: number): number => {
    let length = nibble
    if (nibble < 15) return length
    for (;;) {
      if (at >= end) throw new RangeError('LZ4 block ends within a length')
      const byte = bytes[at++] as number
      length += byte
      if (byte < 255) return length
    }
  }
  while (at < end) {
    const token = bytes[at++] as number
    const literals = more(token >> 4)
    size += literals
    at += literals
    if (at >= end) break
    at += 2
    size += more(token & 15) + 4
  }
  if (at !== end) throw new RangeError('LZ4 block ends within a sequence')
  return size
}
