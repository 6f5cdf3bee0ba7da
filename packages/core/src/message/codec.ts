import { Buffer, isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib'
import { MessageQueueError, SerializationError, UnsupportedError } from '../errors.ts'
import { adviceFor, isJsonBody } from './json-body.ts'
import { inferContentType, isBytes } from './message.ts'

/** A body format, chosen by content type. */
export interface Format {
  encode(value: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
}

/** A content encoding: compression or encryption. `decode` refuses to grow beyond `maxBytes`. */
export interface Encoding {
  encode(bytes: Uint8Array): Uint8Array
  decode(bytes: Uint8Array, maxBytes: number): Uint8Array
}

/** What a codecs package adds: formats by content type, encodings by name. */
export interface Codecs {
  readonly formats?: Readonly<Record<string, Format>> | undefined
  readonly encodings?: Readonly<Record<string, Encoding>> | undefined
}

export interface CodecOptions {
  /** Content type of bodies that are neither text nor bytes. `null`: they are refused. */
  readonly objectContentType: string | null
  /** Encoding applied to bodies of some size (`COMPRESS_ABOVE`) when the message names none. `null`: none. */
  readonly compression: string | null
  /** Encoding applied to every body, after compression. `null`: none. */
  readonly encryption: string | null
  /** Most bytes that a compressed body may inflate to. */
  readonly maxInflatedBytes: number
  readonly codecs: Codecs
}

const REPLACEMENT = '\ufffd'

/** Smaller bodies are not compressed unless the message asks for it: gzip adds some 20 bytes and saves nothing there. */
const COMPRESS_ABOVE = 1024

// Brotli's default quality 11 takes seconds per MiB; 4 is in the range of gzip's default, smaller and faster.
const BROTLI_QUALITY = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }

const ENCODINGS: Readonly<Record<string, Encoding>> = {
  gzip: {
    encode: (bytes) => gzipSync(bytes),
    decode: (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength }),
  },
  br: {
    encode: (bytes) => brotliCompressSync(bytes, BROTLI_QUALITY),
    decode: (bytes, maxOutputLength) => brotliDecompressSync(bytes, { maxOutputLength }),
  },
}

// Names that say how characters are encoded, or nothing: older AMQP clients put them here.
const NEUTRAL = new Set(['', 'identity', 'utf-8', 'utf8', 'binary', '8bit'])

export interface EncodedBody {
  readonly body: Uint8Array
  readonly contentEncoding: string | undefined
}

/** Bodies to bytes and back: format by content type, then compression, then encryption. Pure but for its options. */
export class BodyCodec {
  #options: CodecOptions
  readonly #plain: boolean

  constructor(options: CodecOptions) {
    this.#options = options
    this.#plain = options.compression === null && options.encryption === null
  }

  /** Adds the formats and encodings of a package that was loaded. */
  use(codecs: Codecs): void {
    this.#options = { ...this.#options, codecs }
  }

  /** The content type of a body that names none. */
  contentTypeOf(body: unknown): string {
    const inferred = inferContentType(body)
    if (inferred !== 'application/json') return inferred
    if (this.#options.objectContentType === null) {
      // No body, such as the answer of a handler that returns nothing, or that failed.
      if (body === null) return inferred
      throw new SerializationError('message.messageFormat allows text or bytes alone; the body is neither')
    }
    return this.#options.objectContentType
  }

  /** Throws `SerializationError`, or `UnsupportedError` for an encoding that is not installed. */
  encode(body: unknown, contentType: string, contentEncoding: string | undefined): EncodedBody {
    const bytes = this.#format(body, contentType)
    if (this.#plain && contentEncoding === undefined) return { body: bytes, contentEncoding: undefined }
    let names = contentEncoding === undefined ? [] : splitEncodings(contentEncoding)
    const { compression, encryption } = this.#options
    if (contentEncoding === undefined && compression !== null && bytes.length >= COMPRESS_ABOVE)
      names = [compression]
    if (encryption !== null) names = [...names, encryption]
    // What the message names is kept as it is written.
    const named =
      contentEncoding === undefined || encryption === null
        ? contentEncoding
        : `${contentEncoding}, ${encryption}`
    let encoded = bytes
    for (const name of names) if (!NEUTRAL.has(name)) encoded = this.#encodeAs(name, encoded)
    return { body: encoded, contentEncoding: named ?? (names.length === 0 ? undefined : names.join(', ')) }
  }

  #encodeAs(name: string, bytes: Uint8Array): Uint8Array {
    const encoding = this.#encoding(name)
    try {
      return encoding.encode(bytes)
    } catch (cause) {
      if (MessageQueueError.is(cause)) throw cause
      throw new SerializationError(`The body cannot be written as ${name}`, { cause })
    }
  }

  /** Throws `SerializationError`; core dead-letters such a message as `undecodable`. */
  decode(body: Uint8Array, contentType: string | undefined, contentEncoding: string | undefined): unknown {
    let bytes = body
    if (contentEncoding !== undefined) {
      for (const name of splitEncodings(contentEncoding).reverse()) {
        if (NEUTRAL.has(name)) continue
        const encoding = this.#find(name)
        if (encoding === undefined)
          throw new SerializationError(`Content encoding ${JSON.stringify(name)} is unknown here`)
        try {
          bytes = encoding.decode(bytes, this.#options.maxInflatedBytes)
        } catch (cause) {
          const limit = this.#options.maxInflatedBytes
          // A dead letter keeps no cause: an operator has to see from its message which key is missing, say.
          const why = types.isNativeError(cause) ? cause.message : String(cause)
          throw new SerializationError(
            `The body is not ${name}, or inflates to more than ${limit} bytes: ${why}`,
            { cause },
          )
        }
      }
    }
    return this.#parse(bytes, contentType)
  }

  /** The encodings that a receiver shows: what the sender's configuration added for itself is left out. */
  visibleEncoding(contentEncoding: string | undefined): string | undefined {
    const { encryption } = this.#options
    if (contentEncoding === undefined || encryption === null) return contentEncoding
    const added = `, ${encryption}`
    if (contentEncoding.endsWith(added)) return contentEncoding.slice(0, -added.length)
    const names = splitEncodings(contentEncoding).filter((name) => name !== encryption)
    return names.length === 0 ? undefined : names.join(', ')
  }

  #format(body: unknown, contentType: string): Uint8Array {
    // The message may be changed or sent again while this copy is on its way.
    if (isBytes(body)) return Uint8Array.prototype.slice.call(body)
    if (isJson(contentType)) return jsonBytes(body)
    const format = this.#formatOf(contentType)
    if (format !== undefined) {
      try {
        return format.encode(body)
      } catch (cause) {
        throw new SerializationError(`The body cannot be written as ${contentType}`, { cause })
      }
    }
    if (typeof body === 'string') return Buffer.from(body)
    throw new SerializationError(
      `A body of content type ${contentType} must be a string or bytes; it is ${body === null ? 'null' : typeof body}`,
    )
  }

  #parse(bytes: Uint8Array, contentType: string | undefined): unknown {
    if (contentType === undefined) return guess(bytes)
    if (isJson(contentType)) {
      try {
        return JSON.parse(text(bytes))
      } catch (cause) {
        throw new SerializationError('The body is not JSON, although its content type says so', { cause })
      }
    }
    const format = this.#formatOf(contentType)
    if (format !== undefined) {
      try {
        return format.decode(bytes)
      } catch (cause) {
        throw new SerializationError(`The body is not ${contentType}, although its content type says so`, {
          cause,
        })
      }
    }
    // A copy: the broker may still hold these bytes for another delivery.
    return contentType.startsWith('text/') || /^text\//i.test(contentType)
      ? text(bytes)
      : Uint8Array.prototype.slice.call(bytes)
  }

  /** Content types are the same in any case. */
  #formatOf(contentType: string): Format | undefined {
    const { formats } = this.#options.codecs
    if (formats === undefined) return undefined
    return own(formats, contentType) ?? own(formats, contentType.toLowerCase())
  }

  #find(name: string): Encoding | undefined {
    return own(this.#options.codecs.encodings, name) ?? own(ENCODINGS, name)
  }

  #encoding(name: string): Encoding {
    const encoding = this.#find(name)
    if (encoding !== undefined) return encoding
    throw new UnsupportedError(
      `Content encoding ${JSON.stringify(name)} is not known: use gzip or br, or install @mq/codecs and name it in the configuration`,
    )
  }
}

/** The entry of that name. Names come with messages: one may be that of something every object inherits. */
function own<T>(entries: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return entries !== undefined && Object.hasOwn(entries, name) ? entries[name] : undefined
}

function splitEncodings(list: string): string[] {
  return list.split(',').map((name) => name.trim().toLowerCase())
}

function isJson(contentType: string): boolean {
  return contentType === 'application/json' || /^application\/(json|[^;]+\+json)\s*(;|$)/i.test(contentType)
}

function jsonBytes(body: unknown): Uint8Array {
  let json: string | undefined
  try {
    json = isJsonBody(body) ? JSON.stringify(body) : undefined
  } catch (cause) {
    throw new SerializationError(`The body cannot be written as JSON: ${(cause as Error).message}`, { cause })
  }
  if (json === undefined) {
    const advice = adviceFor(body) ?? 'send an object, array, string, finite number, boolean, null or bytes'
    throw new SerializationError(`The body cannot be written as JSON: ${advice}`)
  }
  return Buffer.from(json)
}

function text(bytes: Uint8Array): string {
  const string = asBuffer(bytes).toString()
  // What is not UTF-8 shows as this character; one that was sent as such is fine. Looking is cheaper than checking every body.
  if (string.includes(REPLACEMENT) && !isUtf8(bytes))
    throw new SerializationError('The body is not UTF-8 text')
  return string
}

/** A message of a client that names no content type: bytes, text, or JSON when it is an object or array. */
function guess(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) return Uint8Array.prototype.slice.call(bytes)
  const string = asBuffer(bytes).toString()
  if (/^\s*[{[]/.test(string)) {
    try {
      return JSON.parse(string)
    } catch {
      // Text that happens to start with a bracket.
    }
  }
  return string
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
