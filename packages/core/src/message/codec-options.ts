import type { Codecs, CodecOptions } from './codec.ts'
import type { MessageQueueConfig } from '../config/message-queue-config.ts'
import { ErrorCode } from '../error-codes.ts'
import { ConfigurationError } from '../errors.ts'
import { importPackage } from '../load-package.ts'

const OBJECT_TYPES = {
  json: 'application/json',
  msgpack: 'application/msgpack',
  text: null,
  bytes: null,
} as const

/** Names of content encodings; https://www.iana.org/assignments/http-parameters has gzip, br and zstd. */
const ENCODINGS = {
  none: null,
  gzip: 'gzip',
  brotli: 'br',
  zstd: 'zstd',
  snappy: 'snappy',
  lz4: 'lz4',
} as const

/** What the configuration says about bodies, in the codec's own terms. */
export function codecOptions(config: MessageQueueConfig, codecs: Codecs | undefined): CodecOptions {
  const { messageFormat, compression, encryptionEnabled, maxInflatedBytes } = config.message
  return {
    objectContentType: OBJECT_TYPES[messageFormat],
    compression: ENCODINGS[compression],
    encryption: encryptionEnabled ? 'aes256gcm' : null,
    maxInflatedBytes,
    codecs: codecs ?? {},
  }
}

/** What the configuration asks for and Node's own codecs do not have, in words; `null`: nothing. */
function wantedOfPackage({ message }: MessageQueueConfig): string | null {
  if (message.messageFormat === 'msgpack') return 'message.messageFormat: msgpack'
  if (message.encryptionEnabled) return 'message.encryptionEnabled'
  // A receiver has the key before its senders encrypt: it decrypts what comes.
  if (message.encryptionKey !== null) return 'message.encryptionKey'
  const { compression } = message
  return compression === 'zstd' || compression === 'snappy' || compression === 'lz4'
    ? `message.compression: ${compression}`
    : null
}

/** Loads `@mq/codecs` when the configuration asks for what it holds. Throws MQ_PACKAGE_MISSING with the command that installs it. */
export async function loadCodecs(config: MessageQueueConfig): Promise<Codecs | null> {
  const wanted = wantedOfPackage(config)
  if (wanted === null) return null
  const { createCodecs } = await importPackage('@mq/codecs', wanted)
  if (typeof createCodecs === 'function')
    return (createCodecs as (message: unknown) => Codecs | Promise<Codecs>)(config.message)
  throw new ConfigurationError(
    '@mq/codecs exports no createCodecs(config): install a version that fits @mq/core',
    {
      code: ErrorCode.PACKAGE_MISSING,
    },
  )
}
