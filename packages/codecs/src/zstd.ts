import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { asBuffer, refuseAbove } from './bytes.ts'
import { zstdFrames } from './zstd-frames.ts'

// A module's named imports cannot see the exports of this CommonJS package.
const require = createRequire(import.meta.url)

export interface Zstd {
  compress(bytes: Uint8Array): Buffer
  /** Throws for what is no Zstandard frame, and for what inflates to more than `maxBytes`. */
  decompress(bytes: Uint8Array, maxBytes: number): Buffer
}

/** Node has these since 22.15. */
interface NodeZstd {
  zstdCompressSync?(bytes: Uint8Array): Buffer
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Buffer
}
interface ZstdWasm {
  init(): Promise<void>
  compress(bytes: Uint8Array): Uint8Array
  /** `defaultHeapSize`: bytes reserved for a frame that does not declare its size. */
  decompress(bytes: Uint8Array, options: { defaultHeapSize: number }): Uint8Array
}

let wasm: Promise<Zstd> | undefined

/** Node's own Zstandard where it has one, else WebAssembly, which starts asynchronously. */
export function loadZstd(native: NodeZstd = zlib as NodeZstd): Promise<Zstd> {
  const { zstdCompressSync, zstdDecompressSync } = native
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return (wasm ??= loadWasm())
  return Promise.resolve({
    compress: (bytes) => zstdCompressSync(bytes),
    decompress: (bytes, maxBytes) =>
      inflate(asBuffer(bytes), maxBytes, (frame) => zstdDecompressSync(frame, { maxOutputLength: maxBytes })),
  })
}

async function loadWasm(): Promise<Zstd> {
  const library = require('@bokuweb/zstd-wasm') as ZstdWasm
  await library.init()
  return {
    compress: (bytes) => asBuffer(library.compress(bytes)),
    decompress: (bytes, maxBytes) =>
      inflate(asBuffer(bytes), maxBytes, (frame, most) =>
        library.decompress(frame, { defaultHeapSize: Math.max(1, Math.min(most, maxBytes)) }),
      ),
  }
}

/** Frame by frame: WebAssembly's reserves memory for the size that the first one declares. */
function inflate(
  bytes: Buffer,
  maxBytes: number,
  decode: (frame: Buffer, most: number) => Uint8Array,
): Buffer {
  const frames = zstdFrames(bytes)
  const parts: Buffer[] = []
  let left = maxBytes
  for (const { start, end, size, declared } of frames) {
    if (declared) refuseAbove(size, left, 'Zstandard frame')
    const part = asBuffer(decode(bytes.subarray(start, end), size))
    refuseAbove(part.length, left, 'Zstandard frame')
    left -= part.length
    parts.push(part)
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}
