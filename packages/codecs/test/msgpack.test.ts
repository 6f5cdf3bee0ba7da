import { describe, expect, it } from '@jest/globals'
import { msgpack } from '../src/msgpack.ts'

const back = (value: unknown) => msgpack.decode(msgpack.encode(value))
const hex = (text: string) => msgpack.decode(Buffer.from(text, 'hex'))

describe('msgpack', () => {
  it.each([null, true, false, 0, -1, 127, 128, 65_536, 2 ** 40, -(2 ** 40), 1.5, '', 'héllo ☃', [], {}])(
    'brings %p back',
    (value) => {
      expect(back(value)).toEqual(value)
    },
  )

  it('brings nested values, long strings, bytes and dates back', () => {
    const value = {
      list: Array.from({ length: 70_000 }, (_, i) => i),
      text: 'x'.repeat(70_000),
      at: new Date(1_700_000_000_123),
      bytes: Uint8Array.of(0, 255),
      deep: [[[{ a: [null] }]]],
    }
    expect(back(value)).toEqual(value)
  })

  it.each([
    ['bytes', 'c403010203'],
    ['an extension', 'd5050102'],
    ['a long extension', 'c70305010203'],
  ])('keeps %s inside of a body apart from the body, which others may get too', (_name, text) => {
    const body = Buffer.from(`81a161${text}`, 'hex')
    const { a } = msgpack.decode(body) as { a: Uint8Array | { data: Uint8Array } }
    const bytes = 'data' in a ? a.data : a
    bytes.fill(9)
    expect(body.toString('hex')).toBe(`81a161${text}`)
  })

  it('leaves undefined fields out, as JSON does', () => {
    expect(back({ a: 1, b: undefined })).toEqual({ a: 1 })
  })

  it('reads integers that a number cannot hold as BigInt, and those beside them as numbers', () => {
    // {"a": 2^63, "b": 2^33, "c": 1}
    expect(hex('83a161cf8000000000000000a162cf0000000200000000a16301')).toEqual({
      a: 2n ** 63n,
      b: 2 ** 33,
      c: 1,
    })
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  it.each([
    ['a BigInt', { a: 1n }],
    ['a Map', { a: new Map([[1, 2]]) }],
    ['a Set', new Set([1])],
    ['a promise', { a: Promise.resolve(1) }],
    ['an ArrayBuffer', { a: new ArrayBuffer(1) }],
    ['a DataView', [new DataView(new ArrayBuffer(1))]],
    ['other numbers than bytes', { a: new Float64Array(1) }],
    ['a function', { a: () => 1 }],
    ['a cycle', cycle],
  ])('refuses to write %s', (_name, value) => {
    expect(() => msgpack.encode(value)).toThrow()
  })

  it.each([
    ['nothing', ''],
    ['half a string', 'a568656c'],
    ['half an integer', 'cf00000000'],
    ['half a header', 'dc00'],
    ['a missing element', '9201'],
    ['bytes behind the value', '0102'],
    ['a type that does not exist', 'c1'],
    ['an array of four thousand million', 'ddffffffff'],
    ['a map of four thousand million', 'dfffffffff'],
    ['a string of four thousand million', 'dbffffffff61'],
    ['text that names its prototype', '81a95f5f70726f746f5f5f01'],
  ])('refuses to read %s', (_name, bytes) => {
    expect(() => hex(bytes)).toThrow()
  })

  it('refuses nested arrays that together claim more than the body holds, without building them', () => {
    const claims = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from('dd000003e8', 'hex')))
    const before = process.memoryUsage().heapUsed
    expect(() => msgpack.decode(claims)).toThrow(/claims more/)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000)
  })
})
