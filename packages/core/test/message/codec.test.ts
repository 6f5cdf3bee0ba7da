import { describe, expect, it } from '@jest/globals'
import { gzipSync } from 'node:zlib'
import { BodyCodec, type CodecOptions } from '../../src/message/codec.ts'
import { Message } from '../../src/message/message.ts'
import { SerializationError, UnsupportedError } from '../../src/errors.ts'

const options: CodecOptions = {
  objectContentType: 'application/json',
  compression: null,
  encryption: null,
  maxInflatedBytes: 1_000_000,
  codecs: {},
}
const codec = new BodyCodec(options)
const decoded = (body: unknown, contentType: string, contentEncoding?: string, by = codec) => {
  const encoded = by.encode(body, contentType, contentEncoding)
  return by.decode(encoded.body, contentType, encoded.contentEncoding)
}
const utf8 = (text: string) => new TextEncoder().encode(text)

describe('BodyCodec', () => {
  it.each([null, 0, -1.5, '', 'text', true, [], [1, { a: null }], { a: { b: '☃' } }])(
    'brings JSON %j back',
    (body) => {
      expect(decoded(body, 'application/json')).toEqual(body)
      expect(decoded(body, 'application/vnd.orders+json; charset=utf-8')).toEqual(body)
    },
  )

  it('brings text and bytes back', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    expect(decoded('héllo ☃ 😀', 'text/plain')).toBe('héllo ☃ 😀')
    expect(decoded(bytes, 'application/octet-stream')).toEqual(bytes)
    expect(decoded(new Uint8Array(), 'application/octet-stream')).toEqual(new Uint8Array())
    expect(decoded('', 'text/plain')).toBe('')
  })

  it('copies bytes in both directions', () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const { body } = codec.encode(bytes, 'application/octet-stream', undefined)
    bytes[0] = 9
    expect(body[0]).toBe(1)
    const out = codec.decode(body, 'application/octet-stream', undefined) as Uint8Array
    out[0] = 9
    expect(body[0]).toBe(1)
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  it.each([
    ['a BigInt', 1n],
    ['a cycle', cycle],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['undefined', undefined],
    ['NaN', NaN],
    ['a Map', new Map([[1, 2]])],
    ['a Set', new Set([1])],
  ])('refuses %s as JSON', (_name, body) => {
    expect(() => codec.encode(body, 'application/json', undefined)).toThrow(SerializationError)
  })

  it.each([
    ['a promise', Promise.resolve(1), /await it/],
    ['a Map', new Map(), /Object\.fromEntries/],
    ['a Set', new Set(), /\[\.\.\.set\]/],
    ['an Error', new TypeError('x'), /error\.message/],
    ['the reason of a signal', AbortSignal.abort().reason, /error\.message/],
    ['an ArrayBuffer', new ArrayBuffer(1), /new Uint8Array/],
    ['a SharedArrayBuffer', new SharedArrayBuffer(1), /new Uint8Array/],
    ['a DataView', new DataView(new ArrayBuffer(1)), /new Uint8Array/],
    ['other numbers than bytes', new Float64Array(1), /Array\.from/],
  ])('says what to send in place of %s', (_name, body, says) => {
    expect(() => codec.encode(body, 'application/json', undefined)).toThrow(says)
    expect(() => new Message({ body }).serialize()).toThrow(says)
  })

  it('takes an Error that says what its JSON is', () => {
    const error = Object.assign(new Error('x'), { toJSON: () => ({ reason: 'x' }) })
    expect(decoded(error, 'application/json')).toEqual({ reason: 'x' })
  })

  it('brings a class, and an object without a prototype, back as plain objects', () => {
    class Point {
      x = 1
    }
    expect(decoded(new Point(), 'application/json')).toEqual({ x: 1 })
    expect(decoded(Object.assign(Object.create(null), { x: 1 }), 'application/json')).toEqual({ x: 1 })
  })

  it.each(['gzip', 'br', 'gzip, br', 'identity', 'utf-8'])('brings %s back', (encoding) => {
    expect(decoded({ a: 'x'.repeat(5000) }, 'application/json', encoding)).toEqual({ a: 'x'.repeat(5000) })
  })

  it('compresses by configuration what is long enough', () => {
    const compressing = new BodyCodec({ ...options, compression: 'gzip' })
    const long = compressing.encode('x'.repeat(5000), 'text/plain', undefined)
    expect(long.contentEncoding).toBe('gzip')
    expect(long.body.length).toBeLessThan(200)
    expect(compressing.encode('x', 'text/plain', undefined).contentEncoding).toBeUndefined()
  })

  it('refuses a bomb, by the size it would inflate to', () => {
    expect(() => codec.decode(gzipSync(Buffer.alloc(2_000_000)), 'text/plain', 'gzip')).toThrow(
      /more than 1000000 bytes/,
    )
  })

  it('says in its message why an encoding refused: a dead letter keeps no cause', () => {
    const refuse = () => {
      throw new Error('no key 3f0a')
    }
    const locked = new BodyCodec({
      ...options,
      codecs: { encodings: { locked: { encode: (bytes) => bytes, decode: refuse } } },
    })
    expect(() => locked.decode(utf8('x'), 'text/plain', 'locked')).toThrow('no key 3f0a')
  })

  it.each([
    ['no gzip', utf8('plain'), 'text/plain', 'gzip'],
    ['no JSON', utf8('{"a":'), 'application/json', undefined],
    ['an empty JSON body', utf8(''), 'application/json', undefined],
    ['no UTF-8', Uint8Array.of(0xff, 0xfe), 'text/plain', undefined],
    ['no UTF-8 in JSON', Uint8Array.of(0x22, 0xff, 0x22), 'application/json', undefined],
    ['an unknown encoding', utf8('x'), 'text/plain', 'rot13'],
    ['an encoding that is what every object inherits', utf8('x'), 'text/plain', 'constructor'],
    ['an encoding that is the prototype of every object', utf8('x'), 'text/plain', '__proto__'],
  ])('refuses what is %s', (_name, body, contentType, encoding) => {
    expect(() => codec.decode(body, contentType, encoding)).toThrow(SerializationError)
  })

  it('names what to do about an encoding that it cannot write', () => {
    expect(() => codec.encode('x', 'text/plain', 'zstd')).toThrow(UnsupportedError)
    expect(() => codec.encode('x', 'text/plain', 'zstd')).toThrow(/@mq\/codecs/)
  })

  it.each(['constructor', '__proto__'])('takes %s for no name of an encoding or a format', (name) => {
    const extended = new BodyCodec({ ...options, codecs: { formats: {}, encodings: {} } })
    expect(() => extended.encode('x', 'text/plain', name)).toThrow(UnsupportedError)
    expect(decoded('x', name, undefined, extended)).toEqual(Uint8Array.from(utf8('x')))
  })

  it.each([
    ['an object', utf8(' {"a":1}'), { a: 1 }],
    ['an array', utf8('[1]'), [1]],
    ['text', utf8('42'), '42'],
    ['text with a bracket', utf8('[not json'), '[not json'],
    ['bytes', Uint8Array.of(0xff, 1), Uint8Array.of(0xff, 1)],
  ])('takes a foreign body without content type as %s', (_name, body, expected) => {
    expect(codec.decode(body, undefined, undefined)).toEqual(expected)
  })

  it('uses the formats and encodings of a codecs package', () => {
    const reversed = {
      encode: (bytes: Uint8Array) => Uint8Array.from(bytes).reverse(),
      decode: (bytes: Uint8Array) => Uint8Array.from(bytes).reverse(),
    }
    const format = {
      encode: (value: unknown) => utf8(String(value)),
      decode: (bytes: Uint8Array) => Number(new TextDecoder().decode(bytes)),
    }
    const extended = new BodyCodec({
      ...options,
      encryption: 'reversed',
      codecs: { encodings: { reversed }, formats: { 'application/x-number': format } },
    })
    const encoded = extended.encode(42, 'application/x-number', 'gzip')
    expect(encoded.contentEncoding).toBe('gzip, reversed')
    expect(extended.decode(encoded.body, 'application/x-number', encoded.contentEncoding)).toBe(42)
    expect(extended.visibleEncoding(encoded.contentEncoding)).toBe('gzip')
    expect(decoded(42, 'Application/X-Number', undefined, extended)).toBe(42)
  })

  it.each(['UTF-8', 'GZIP,br', ' gzip '])('leaves the content encoding %j as it is written', (name) => {
    const same = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }
    const locked = new BodyCodec({ ...options, encryption: 'same', codecs: { encodings: { same } } })
    for (const by of [codec, locked]) {
      const { body, contentEncoding } = by.encode('x', 'text/plain', name)
      expect(by.visibleEncoding(contentEncoding)).toBe(name)
      expect(by.decode(body, 'text/plain', contentEncoding)).toBe('x')
    }
  })

  it('knows text and JSON in whichever case their content type is written', () => {
    expect(decoded('x', 'Text/Plain; charset=utf-8')).toBe('x')
    expect(decoded({ a: 1 }, 'Application/JSON')).toEqual({ a: 1 })
  })
})
