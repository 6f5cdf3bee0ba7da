import { describe, expect, it } from '@jest/globals'
import type { Encoding } from '@mq/core'
import { createCodecs, recordCodecs } from '../src/index.ts'
import { loadZstd } from '../src/zstd.ts'
import { noise, STREAMED, STREAMED_ZSTD, utf8, XERIAL_HEADER } from './vectors.ts'

const MAX = 1_000_000
const names = ['snappy', 'lz4', 'zstd'] as const
const codecs = await recordCodecs()

describe.each(names)('%s', (name) => {
  const { compress, decompress } = codecs[name]
  const bomb = compress(Buffer.alloc(20_000_000))

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a byte', utf8('x')],
    ['text', utf8('hello, world '.repeat(1000))],
    ['noise', noise(300_000)],
    ['a body of exactly the limit', Buffer.alloc(MAX, 'ab')],
  ])('brings %s back', (_what, bytes) => {
    expect(decompress(compress(bytes), MAX).equals(bytes)).toBe(true)
  })

  it('makes repetitive bytes small', () => {
    expect(compress(utf8('temperature '.repeat(10_000))).length).toBeLessThan(10_000)
  })

  it('refuses a bomb', () => {
    expect(bomb.length).toBeLessThan(1_000_000)
    expect(() => decompress(bomb, MAX)).toThrow(/at most 1000000/)
    expect(() => decompress(bomb, 19_999_999)).toThrow()
    expect(decompress(bomb, 20_000_000)).toHaveLength(20_000_000)
  })

  it('refuses what ends early, at every length', () => {
    const bytes = compress(utf8('hello, world '.repeat(20)))
    for (let length = 0; length < bytes.length; length++)
      expect(() => decompress(bytes.subarray(0, length), MAX)).toThrow()
  })

  it('never takes damaged bytes for more than the limit, nor hangs', () => {
    const whole = compress(utf8('some text that repeats, some text that repeats'))
    for (let at = 0; at < whole.length; at++) {
      for (const bits of [1, 0x80, 0xff]) {
        const damaged = Buffer.from(whole)
        damaged[at] = (damaged[at] as number) ^ bits
        try {
          expect(decompress(damaged, MAX).length).toBeLessThanOrEqual(MAX)
        } catch {
          // Refused: as good.
        }
      }
    }
    expect(() => decompress(utf8('this was never compressed at all'), MAX)).toThrow()
  })

  it('reads from the middle of a larger buffer and leaves its input alone', () => {
    const packed = compress(utf8('inside'))
    const larger = Buffer.concat([noise(10), packed, noise(10)])
    const before = Buffer.from(larger)
    expect(decompress(larger.subarray(10, -10), MAX).toString()).toBe('inside')
    expect(larger.equals(before)).toBe(true)
  })
})

describe('records of other clients', () => {
  it('are read from xerial streams, of one and of many blocks', () => {
    const block = (text: string) => {
      const bytes = codecs.snappy.compress(utf8(text))
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return Buffer.concat([length, bytes])
    }
    const read = (...parts: Buffer[]) =>
      codecs.snappy.decompress(Buffer.concat([XERIAL_HEADER, ...parts]), 20).toString()
    expect(read()).toBe('')
    expect(read(block('one'))).toBe('one')
    expect(read(block('one '), block('two '), XERIAL_HEADER, block('three'))).toBe('one two three')
    // The bound holds over all of the blocks together.
    expect(() => read(block('x'.repeat(11)), block('y'.repeat(11)))).toThrow(/at most 9/)
    expect(() => read(block('one').subarray(0, -1))).toThrow(/truncated/)
    expect(() => read(Buffer.of(0xff, 0xff, 0xff, 0xff))).toThrow(/truncated/)
  })

  it('are read from Zstandard frames that do not declare their size', () => {
    expect(codecs.zstd.decompress(STREAMED_ZSTD, MAX).toString()).toBe(STREAMED)
    expect(codecs.zstd.decompress(STREAMED_ZSTD, STREAMED.length).toString()).toBe(STREAMED)
    expect(() => codecs.zstd.decompress(STREAMED_ZSTD, STREAMED.length - 1)).toThrow()
  })

  it.each(['lz4', 'zstd'] as const)('are read from several %s frames, skippable ones between', (name) => {
    const { compress, decompress } = codecs[name]
    const skippable = Buffer.from('502a4d18' + '03000000' + 'ffffff', 'hex')
    const frames = Buffer.concat([compress(utf8('one ')), skippable, compress(utf8('two'))])
    expect(decompress(frames, 7).toString()).toBe('one two')
    expect(() => decompress(frames, 6)).toThrow(/at most/)
  })

  it('get LZ4 frames that Kafka takes: version 1, independent blocks', () => {
    const flags = codecs.lz4.compress(utf8('x'.repeat(100_000)))[4] as number
    expect(flags & 0b1110_0000).toBe(0b0110_0000)
  })
})

it('LZ4 bodies are refused when damage makes something else of them', async () => {
  const { encodings } = await createCodecs()
  const { encode, decode } = encodings?.['lz4'] as Encoding
  const text = utf8('a text that repeats itself, a text that does not')
  const whole = encode(text)
  expect(Buffer.from(decode(whole, MAX)).equals(text)).toBe(true)
  expect(codecs.lz4.decompress(whole, MAX).equals(text)).toBe(true)
  for (let at = 0; at < whole.length; at++) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] as number) ^ 1
    let read: Uint8Array = text
    try {
      read = decode(damaged, MAX)
    } catch {
      // Refused.
    }
    expect(Buffer.from(read).toString()).toBe(text.toString())
  }
})

describe('Node with Zstandard of its own', () => {
  it('is used instead of WebAssembly, with the bound', async () => {
    const calls: unknown[] = []
    const zstd = await loadZstd({
      zstdCompressSync: (bytes) => codecs.zstd.compress(bytes),
      zstdDecompressSync: (bytes, { maxOutputLength }) => {
        calls.push(maxOutputLength)
        return codecs.zstd.decompress(bytes, maxOutputLength)
      },
    })
    expect(zstd.decompress(zstd.compress(utf8('native')), 100).toString()).toBe('native')
    expect(calls).toEqual([100])
  })
})
