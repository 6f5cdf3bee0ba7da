import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { AdapterError } from '@mq/core/adapter'

const require = createRequire(import.meta.url)

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Number of each codec in the attributes of a batch. */
export const CODEC: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/** Most that one batch may become: what claims more is damaged, or an attack. */
const MOST_INFLATED = 256 * 1024 * 1024

interface Snappy {
  compress(bytes: Uint8Array): Uint8Array
  uncompress(bytes: Uint8Array, limit?: number): Uint8Array
}
interface Lz4 {
  /** Answers the length of the block; 0: it does not get smaller. */
  compressBlock(from: Uint8Array, to: Uint8Array, at: number, length: number, table: Uint32Array): number
  compressBound(length: number): number
  decompress(bytes: Uint8Array, limit?: number): Uint8Array
}
interface ZstdWasm {
  init(): Promise<void>
  compress(bytes: Uint8Array, level?: number): Uint8Array
  decompress(bytes: Uint8Array): Uint8Array
}
interface NodeZstd {
  zstdCompressSync?(bytes: Uint8Array): Buffer
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Buffer
}

const native = zlib as unknown as NodeZstd
let zstdWasm: ZstdWasm | null = null

// Loaded when the first batch asks for them: most programs never meet one.
const snappy = lazy(() => require('snappyjs') as Snappy)
const lz4 = lazy(() => require('lz4js') as Lz4)

/** To be awaited before the first batch of this codec: WebAssembly starts asynchronously. */
export async function prepareCodec(codec: number): Promise<void> {
  if (codec !== CODEC.zstd || native.zstdDecompressSync !== undefined || zstdWasm !== null) return
  const loaded = require('@bokuweb/zstd-wasm') as ZstdWasm
  await loaded.init()
  zstdWasm = loaded
}

/** Synchronous: `prepareCodec` must have run. */
export function compress(bytes: Buffer, codec: Compression): Uint8Array {
  switch (codec) {
    case 'none':
      return bytes
    case 'gzip':
      return zlib.gzipSync(bytes)
    case 'snappy':
      return snappy().compress(bytes)
    case 'lz4':
      return lz4Frame(bytes)
    case 'zstd':
      return native.zstdCompressSync?.(bytes) ?? (zstdWasm as ZstdWasm).compress(bytes)
  }
}

/** Throws for a codec that nobody knows, and for bytes that are not what they say. */
export function decompress(bytes: Buffer, codec: number): Buffer {
  switch (codec) {
    case CODEC.gzip:
      return zlib.gunzipSync(bytes, { maxOutputLength: MOST_INFLATED })
    case CODEC.snappy:
      return unsnappy(bytes)
    case CODEC.lz4:
      return view(lz4().decompress(bytes, MOST_INFLATED))
    case CODEC.zstd:
      return (
        native.zstdDecompressSync?.(bytes, { maxOutputLength: MOST_INFLATED }) ??
        view((zstdWasm as ZstdWasm).decompress(bytes))
      )
    default:
      throw new AdapterError('MQ_SERIALIZATION', `a record batch has the unknown compression codec ${codec}`)
  }
}

const LZ4_BLOCK = 64 * 1024
const LZ4_STORED = 0x80000000
/** Frame of version 1 with independent blocks of 64 KiB and no checksums but the header's own, which ends it: Java takes no other. */
const LZ4_HEADER = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])

/** lz4js's own frames have blocks that depend on each other. */
function lz4Frame(bytes: Buffer): Buffer {
  const parts: Buffer[] = [LZ4_HEADER]
  for (let at = 0; at < bytes.length; at += LZ4_BLOCK) {
    const block = bytes.subarray(at, at + LZ4_BLOCK)
    const packed = Buffer.alloc(lz4().compressBound(block.length))
    const length = lz4().compressBlock(block, packed, 0, block.length, new Uint32Array(1 << 16))
    const smaller = length > 0 && length < block.length
    const size = Buffer.alloc(4)
    size.writeUInt32LE(smaller ? length : (block.length | LZ4_STORED) >>> 0)
    parts.push(size, smaller ? packed.subarray(0, length) : block)
  }
  parts.push(Buffer.alloc(4))
  return Buffer.concat(parts)
}

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER = 16

/** Java writes Snappy as a stream of blocks with a header of its own, librdkafka as one block. */
function unsnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, XERIAL.length).equals(XERIAL)) return view(snappy().uncompress(bytes, MOST_INFLATED))
  const blocks: Uint8Array[] = []
  for (let at = XERIAL_HEADER; at < bytes.length;) {
    const size = bytes.readInt32BE(at)
    blocks.push(snappy().uncompress(bytes.subarray(at + 4, at + 4 + size), MOST_INFLATED))
    at += 4 + size
  }
  return Buffer.concat(blocks)
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function lazy<T>(load: () => T): () => T {
  let loaded: T | undefined
  return () => (loaded ??= load())
}
