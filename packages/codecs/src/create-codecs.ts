import type { Codecs, Encoding } from '@mq/core'
import { encryption } from './encryption.ts'
import { lz4CompressChecked, lz4Decompress } from './lz4.ts'
import { msgpack } from './msgpack.ts'
import { snappyCompress, snappyDecompress } from './snappy.ts'
import { loadZstd } from './zstd.ts'

/** The part of `MessageConfig` that codecs depend on. */
export interface CodecSettings {
  /** Encrypts. Default: the first of `encryptionKeys`. */
  readonly encryptionKey?: string | null | undefined
  /** Further keys that still decrypt. */
  readonly encryptionKeys?: readonly string[] | undefined
}

/**
 * Everything in this package, for `MessageQueueFactory`'s `codecs`; core calls it by itself when the configuration asks for something here.
 * Formats: `application/msgpack` and its older names. Content encodings: `zstd`, `snappy`, `lz4`, and `aes256gcm` when there is a key.
 */
export async function createCodecs(settings: CodecSettings = {}): Promise<Codecs> {
  const { encryptionKey = null, encryptionKeys = [] } = settings
  const keys = [...new Set([...(encryptionKey === null ? [] : [encryptionKey]), ...encryptionKeys])]
  const zstd = await loadZstd()
  const encodings: Record<string, Encoding> = {
    zstd: { encode: (bytes) => zstd.compress(bytes), decode: (bytes, max) => zstd.decompress(bytes, max) },
    snappy: { encode: snappyCompress, decode: snappyDecompress },
    lz4: { encode: lz4CompressChecked, decode: lz4Decompress },
  }
  if (keys.length > 0) encodings['aes256gcm'] = encryption(keys)
  const formats = Object.fromEntries(
    ['application/msgpack', 'application/vnd.msgpack', 'application/x-msgpack'].map((type) => [
      type,
      msgpack,
    ]),
  )
  return { formats, encodings }
}
