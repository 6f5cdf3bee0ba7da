import { types } from 'node:util'
import { decode, encode, ExtensionCodec } from '@msgpack/msgpack'
import type { Format } from '@mq/core'
import { asBuffer } from './bytes.ts'
import { checkClaims } from './msgpack-claims.ts'

/** The deepest nesting written; what is deeper is most likely a cycle. */
const MAX_DEPTH = 256

// What would be written as an empty map, or as bytes in this machine's order, without a word.
const extensionCodec = new ExtensionCodec()
extensionCodec.register({
  type: 0,
  encode(value) {
    if (value instanceof Map || value instanceof Set)
      throw new TypeError('MessagePack has no Map or Set: send an object or an array')
    if (types.isPromise(value)) throw new TypeError('MessagePack has no promise: await it first')
    if (types.isAnyArrayBuffer(value) || (ArrayBuffer.isView(value) && !types.isUint8Array(value)))
      throw new TypeError('MessagePack has no buffers but bytes: send a Uint8Array, or an array of numbers')
    return null
  },
  decode: (bytes) => bytes,
})

/**
 * MessagePack. Bytes and dates inside of a body arrive as such; `undefined` fields are left out, as in JSON. Integers beyond 2^53, which other
 * languages may send, arrive as BigInt; sending BigInt is refused, as in JSON.
 */
export const msgpack: Format = {
  encode: (value) => encode(value, { extensionCodec, ignoreUndefined: true, maxDepth: MAX_DEPTH }),
  decode(bytes) {
    const { bigIntegers, bytesWithin } = checkClaims(asBuffer(bytes))
    // Bytes inside of the value are parts of what is read: of a copy, since the broker may still hold these for another delivery.
    const own = bytesWithin ? Uint8Array.prototype.slice.call(bytes) : bytes
    const value = decode(own, { useBigInt64: bigIntegers })
    return bigIntegers ? withNumbers(value) : value
  },
}

/** The decoder makes BigInt of every 64-bit integer or of none; those that a number holds exactly become numbers again. */
function withNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(withNumbers)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withNumbers(each)]))
}
