import { type Buffer } from 'node:buffer'
import { lz4Compress, lz4Decompress } from './lz4.ts'
import { snappyCompress, snappyDecompressAny } from './snappy.ts'
import { loadZstd } from './zstd.ts'

export interface RecordCodec {
  compress(bytes: Uint8Array): Buffer
  /** Throws for bytes that are not of this codec or damaged, and for more than `maxBytes` inflated. */
  decompress(bytes: Uint8Array, maxBytes: number): Buffer
}

export interface RecordCodecs {
  /** Writes one block; reads that, and the stream of blocks that Java's snappy library writes. */
  readonly snappy: RecordCodec
  /** LZ4 frames. */
  readonly lz4: RecordCodec
  readonly zstd: RecordCodec
}

/** Compressions as Kafka's record batches use them. Asynchronous because WebAssembly starts so; the codecs themselves are synchronous. */
export async function recordCodecs(): Promise<RecordCodecs> {
  return {
    snappy: { compress: snappyCompress, decompress: snappyDecompressAny },
    lz4: { compress: lz4Compress, decompress: lz4Decompress },
    zstd: await loadZstd(),
  }
}
