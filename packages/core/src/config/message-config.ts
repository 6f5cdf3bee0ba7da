import { Type, type Static } from 'typebox'
import { MessageQueueError } from '../errors.ts'
import { checkHeaders } from '../message/names.ts'
import { CompressionType, MessageFormat } from './enums.ts'
import { boolean, integer, numberOrNone, oneOf, orNone } from './field.ts'
import { collector, parseWith, withParse } from './parse.ts'
import { HIDDEN } from './secrets.ts'

const KEY_EXPECTED = '32 bytes (AES-256) as 64 hexadecimal digits or as base64'

const schema = Type.Object(
  {
    messageFormat: oneOf(Object.values(MessageFormat), {
      description:
        'How bodies that are neither text nor bytes are written; `text` and `bytes` refuse them. `msgpack` needs `@mq/codecs`.',
      default: MessageFormat.JSON,
    }),
    compression: oneOf(Object.values(CompressionType), {
      description: 'Compresses bodies from 1 KiB on. `zstd`, `snappy` and `lz4` need `@mq/codecs`.',
      default: CompressionType.NONE,
    }),
    encryptionEnabled: boolean({
      description: 'Encrypts bodies with AES-256-GCM. Needs `@mq/codecs`.',
      default: false,
    }),
    encryptionKey: orNone(Type.String(), {
      description: 'Key that encrypts: 32 bytes in hexadecimal or base64.',
      defaultText: 'the first of `encryptionKeys`',
      secret: true,
      expected: KEY_EXPECTED,
    }),
    encryptionKeys: Type.Array(Type.String(), {
      description: 'Further keys that still decrypt, for rotation.',
      default: [],
      secret: true,
      expected: `an array of keys, each ${KEY_EXPECTED}`,
    }),
    ttlSeconds: numberOrNone({
      description: 'How long after `send` a message expires, unless the message or its queue says so.',
      unit: 'seconds',
      exclusiveMinimum: 0,
      maximum: Number.MAX_SAFE_INTEGER / 1000,
      defaultText: 'never',
    }),
    priority: integer({
      description: 'Priority of messages that name none, on queues with `maxPriority`.',
      minimum: 0,
      maximum: 255,
      default: 0,
    }),
    headers: Type.Record(Type.String(), Type.String(), {
      description: 'Headers of every message that does not set them itself.',
      default: {},
      secret: true,
      expected: 'an object whose values are strings',
    }),
    maxBodyBytes: integer({
      description: 'Largest body, encoded. Raising it needs a broker that takes more.',
      unit: 'bytes',
      minimum: 1,
      default: 1_032_192,
    }),
    maxInflatedBytes: integer({
      description: 'Most bytes that a compressed body may inflate to; more is `undecodable`.',
      unit: 'bytes',
      minimum: 1,
      maximum: 2_147_483_647,
      default: 67_108_864,
    }),
  },
  { additionalProperties: false },
)

/** For the configuration that contains this one. */
export const collectMessage = collector({
  schema,
  finish: (parsed, given, report) => {
    const { encryptionKey, encryptionKeys, headers } = parsed
    if (typeof encryptionKey === 'string' && !isKey(encryptionKey))
      report('encryptionKey', HIDDEN, KEY_EXPECTED)
    encryptionKeys?.forEach((key, index) => {
      if (!isKey(key)) report(`encryptionKeys.${index}`, HIDDEN, KEY_EXPECTED)
    })
    if (encryptionKey === null) parsed.encryptionKey = encryptionKeys?.[0] ?? null
    // A key that was given and refused is reported already.
    const none =
      given['encryptionKey'] === undefined &&
      (given['encryptionKeys'] === undefined || encryptionKeys?.length === 0)
    if (parsed.encryptionEnabled && parsed.encryptionKey === null && (none || encryptionKey === null)) {
      if (encryptionKeys !== undefined)
        report('encryptionKey', 'missing', `${KEY_EXPECTED}, since encryptionEnabled is true`)
    }
    if (headers !== undefined) {
      try {
        checkHeaders(headers)
      } catch (error) {
        if (!MessageQueueError.is(error)) throw error
        report('headers', HIDDEN, `headers that every broker carries: ${error.message}`)
      }
    }
  },
})

/** 32 bytes, in hexadecimal or in base64 (either alphabet, padded or not). */
function isKey(text: string): boolean {
  return /^[0-9a-f]{64}$/i.test(text) || /^[A-Za-z0-9+/_-]{43}=?$/.test(text)
}

/** What bodies become on their way, and what every message has in common. */
export const MessageConfig = withParse(schema, (input) => parseWith(collectMessage, 'MessageConfig', input))
/** The complete form, as `MessageConfig.parse` answers it; `null` is "none". */
export type MessageConfig = Static<typeof schema>
/** What may be given: any subset. */
export type MessageConfigInput = {
  readonly [K in keyof MessageConfig]?: Readonly<MessageConfig[K]> | undefined
}
