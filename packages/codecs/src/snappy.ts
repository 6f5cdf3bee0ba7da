import { Buffer } from 'node:buffer'
import { compressSync, uncompressSync } from 'snappy'
import { asBuffer, needs, refuseAbove } from './bytes.ts'

/** One Snappy block: https://github.com/google/snappy/blob/main/format_description.txt */
export function snappyCompress(bytes: Uint8Array): Buffer {
  return compressSync(asBuffer(bytes))
}

/** Throws for what is no Snappy block, and for one that claims more than `maxBytes`. */
export function snappyDecompress(bytes: Uint8Array, maxBytes: number): Buffer {
  // A block begins with its inflated size, and inflates to that or not at all.
  refuseAbove(claimedSize(bytes), maxBytes, 'Snappy block')
  return uncompressSync(asBuffer(bytes)) as Buffer
}

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
/** The magic, then a version and the oldest compatible version, four bytes each. */
const XERIAL_HEADER = 16

/**
 * Like `snappyDecompress`, and takes the stream of Java's snappy library too: a header, then blocks, each behind its length as four
 * big-endian bytes. https://github.com/xerial/snappy-java
 */
export function snappyDecompressAny(bytes: Uint8Array, maxBytes: number): Buffer {
  const buffer = asBuffer(bytes)
  if (!buffer.subarray(0, XERIAL.length).equals(XERIAL)) return snappyDecompress(buffer, maxBytes)
  const blocks: Buffer[] = []
  let left = maxBytes
  needs(buffer, XERIAL_HEADER, 'Snappy stream')
  for (let at = XERIAL_HEADER; at < buffer.length;) {
    // Streams that were appended to each other repeat the header.
    if (buffer.subarray(at, at + XERIAL.length).equals(XERIAL)) {
      at += XERIAL_HEADER
      continue
    }
    needs(buffer, at + 4, 'Snappy stream')
    const end = at + 4 + buffer.readUInt32BE(at)
    needs(buffer, end, 'Snappy stream')
    const block = snappyDecompress(buffer.subarray(at + 4, end), left)
    left -= block.length
    blocks.push(block)
    at = end
  }
  return Buffer.concat(blocks)
}

/** The varint in front of a block: 32 bits at most, in five bytes at most. */
function claimedSize(bytes: Uint8Array): number {
  let size = 0
  for (let at = 0; at < 5; at++) {
    needs(bytes, at + 1, 'Snappy block')
    const byte = bytes[at] as number
    size += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) return size
  }
  throw new RangeError('no Snappy block: its size has more than 32 bits')
}
