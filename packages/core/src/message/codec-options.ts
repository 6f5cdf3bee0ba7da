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

const ENCRYPTION = 'aes256gcm'

/** What the configuration says about bodies, in the codec's own terms. */
export function codecOptions(config: MessageQueueConfig, codecs: Codecs | undefined): CodecOptions {
  const { messageFormat, compression, encryptionEnabled, maxInflatedBytes } = config.message
  return {
    objectContentType: OBJECT_TYPES[messageFormat],
    compression: ENCODINGS[compression],
    encryption: encryptionEnabled ? ENCRYPTION : null,
    maxInflatedBytes,
    codecs: codecs ?? {},
  }
}

/** A format or encoding that Node's own codecs do not have, and the setting that asks for it. */
interface Wanted {
  readonly kind: keyof Codecs
  readonly name: string
  readonly setting: string
}

function wantedOfPackage({ message }: MessageQueueConfig): Wanted[] {
  const { messageFormat, compression, encryptionEnabled, encryptionKey } = message
  const wanted: Wanted[] = []
  if (messageFormat === 'msgpack')
    wanted.push({ kind: 'formats', name: OBJECT_TYPES.msgpack, setting: 'message.messageFormat: msgpack' })
  // A receiver has the key before its senders encrypt: it decrypts what comes.
  if (encryptionEnabled || encryptionKey !== null) {
    const setting = encryptionEnabled ? 'message.encryptionEnabled' : 'message.encryptionKey'
    wanted.push({ kind: 'encodings', name: ENCRYPTION, setting })
  }
  if (compression === 'zstd' || compression === 'snappy' || compression === 'lz4')
    wanted.push({ kind: 'encodings', name: compression, setting: `message.compression: ${compression}` })
  return wanted
}

/** Codecs that were given are used as they are, and known before the first message needs what they lack. Throws `ConfigurationError`. */
export function checkCodecs(config: MessageQueueConfig, codecs: Codecs | undefined): void {
  if (codecs === undefined) return
  const lacking = wantedOfPackage(config).filter(({ kind, name }) => !Object.hasOwn(codecs[kind] ?? {}, name))
  if (lacking.length === 0) return
  const settings = lacking.map(({ setting, name }) => `${setting} needs ${name}`).join(', ')
  throw new ConfigurationError(
    `The codecs that were given lack what the configuration asks for (${settings}): give those of createCodecs(config.message), or leave \`codecs\` out`,
  )
}

/** Loads `@mq/codecs` when the configuration asks for what it holds. Throws MQ_PACKAGE_MISSING with the command that installs it. */
export async function loadCodecs(config: MessageQueueConfig): Promise<Codecs | null> {
  const [wanted] = wantedOfPackage(config)
  if (wanted === undefined) return null
  const { createCodecs } = await importPackage('@mq/codecs', wanted.setting)
  if (typeof createCodecs === 'function')
    return (createCodecs as (message: unknown) => Codecs | Promise<Codecs>)(config.message)
  throw new ConfigurationError(
    '@mq/codecs exports no createCodecs(config): install a version that fits @mq/core',
    {
      code: ErrorCode.PACKAGE_MISSING,
    },
  )
}
