import { type Buffer } from 'node:buffer'
import { gunzipSync, gzipSync } from 'node:zlib'
import { AdapterError } from '@mq/core/adapter'

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Number of each codec in the attributes of a batch. */
export const CODEC: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/** Most that one batch may become: what claims more is damaged, or an attack. */
const MOST_INFLATED = 256 * 1024 * 1024

interface Codec {
  compress(bytes: Uint8Array): Buffer
  decompress(bytes: Uint8Array, maxBytes: number): Buffer
}

const gzip: Codec = {
  compress: (bytes) => gzipSync(bytes),
  decompress: (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength }),
}
const known: (Codec | undefined)[] = [undefined, gzip]
let loading: Promise<void> | null = null

/** To be awaited before the first batch of this codec. What Node has not is loaded then: most programs never meet it. */
export async function prepareCodec(codec: number): Promise<void> {
  if (codec <= CODEC.gzip || codec > CODEC.zstd || known[codec] !== undefined) return
  loading ??= load().finally(() => (loading = null))
  await loading
}

async function load(): Promise<void> {
  const { recordCodecs } = await import('@mq/codecs')
  const { snappy, lz4, zstd } = await recordCodecs()
  known[CODEC.snappy] = snappy
  known[CODEC.lz4] = lz4
  known[CODEC.zstd] = zstd
}

/** Synchronous: `prepareCodec` must have run. */
export function compress(bytes: Buffer, codec: Compression): Uint8Array {
  return codec === 'none' ? bytes : codecOf(CODEC[codec]).compress(bytes)
}

/** Throws for a codec that nobody knows, and for bytes that are not what they say. */
export function decompress(bytes: Buffer, codec: number): Buffer {
  return codecOf(codec).decompress(bytes, MOST_INFLATED)
}

function codecOf(number: number): Codec {
  const codec = known[number]
  if (codec !== undefined) return codec
  throw new AdapterError('MQ_SERIALIZATION', `a record batch has the unknown compression codec ${number}`)
}
