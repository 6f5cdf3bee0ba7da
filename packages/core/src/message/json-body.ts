import { types } from 'node:util'

/** Whether JSON can hold a body. The others `JSON.stringify` turns into null, {} or nothing, without a word. */
export function isJsonBody(body: unknown): boolean {
  if (typeof body === 'number') return Number.isFinite(body)
  if (typeof body === 'function' || typeof body === 'symbol') return false
  if (typeof body !== 'object' || body === null) return true
  // Nearly every body: looking closer costs more than this.
  const prototype: unknown = Object.getPrototypeOf(body)
  return prototype === Object.prototype || prototype === Array.prototype || adviceFor(body) === null
}

/** What to send in place of an object that has no JSON; `null`: it has. Bytes have a form of their own. */
export function adviceFor(body: unknown): string | null {
  if (types.isPromise(body)) return 'it is a promise: await it first'
  if (types.isMap(body)) return 'it is a Map: send Object.fromEntries(map), or [...map]'
  if (types.isSet(body)) return 'it is a Set: send [...set]'
  if (isError(body) && !('toJSON' in body))
    return 'it is an Error: send { name: error.name, message: error.message }'
  if (types.isAnyArrayBuffer(body)) return 'it is an ArrayBuffer: send new Uint8Array(buffer)'
  if (!ArrayBuffer.isView(body) || types.isUint8Array(body)) return null
  return 'it is a view of an ArrayBuffer: send Array.from(it) for numbers, or new Uint8Array(it.buffer, it.byteOffset, it.byteLength)'
}

/** Also the reason of a signal, which is no native error on Node 20. */
function isError(body: unknown): body is object {
  return types.isNativeError(body) || Object.prototype.toString.call(body) === '[object DOMException]'
}
