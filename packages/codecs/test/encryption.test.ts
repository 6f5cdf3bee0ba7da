import { describe, expect, it } from '@jest/globals'
import { createDecipheriv } from 'node:crypto'
import { encryption } from '../src/index.ts'
import { utf8 } from './vectors.ts'

const OLD = '00'.repeat(32)
const NEW = Buffer.alloc(32, 7).toString('base64')
const text = utf8('the body')

describe('encryption', () => {
  const codec = encryption([OLD])
  const sealed = codec.encode(text)

  it.each([0, 1, 1_000_000])('brings %d bytes back', (length) => {
    const bytes = Buffer.alloc(length, 'x')
    expect(Buffer.from(codec.decode(codec.encode(bytes), 1)).equals(bytes)).toBe(true)
  })

  it('is AES-256-GCM as its format says', () => {
    const body = Buffer.from(sealed)
    const decipher = createDecipheriv('aes-256-gcm', Buffer.alloc(32), body.subarray(9, 21))
    decipher.setAAD(body.subarray(0, 9)).setAuthTag(body.subarray(-16))
    expect(Buffer.concat([decipher.update(body.subarray(21, -16)), decipher.final()]).equals(text)).toBe(true)
    expect(body[0]).toBe(1)
  })

  it('hides the body and never writes the same bytes twice', () => {
    expect(Buffer.from(sealed).includes(text)).toBe(false)
    expect(Buffer.from(codec.encode(text)).equals(Buffer.from(sealed))).toBe(false)
  })

  it('reads old and new messages while keys rotate', () => {
    const rotating = encryption([NEW, OLD])
    expect(Buffer.from(rotating.decode(sealed, 1)).equals(text)).toBe(true)
    const fresh = rotating.encode(text)
    expect(Buffer.from(encryption([NEW]).decode(fresh, 1)).equals(text)).toBe(true)
    expect(() => codec.decode(fresh, 1)).toThrow(/none of encryptionKeys/)
  })

  it('refuses every changed byte and every truncation', () => {
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] as number) ^ 1
      expect(() => codec.decode(changed, 1)).toThrow()
      expect(() => codec.decode(sealed.subarray(0, at), 1)).toThrow()
    }
    expect(() => codec.decode(text, 1)).toThrow(/truncated/)
  })

  it.each([
    '',
    'short',
    '00'.repeat(31),
    'g'.repeat(64),
    `${'00'.repeat(32)}\n`,
    `${NEW.slice(0, 20)}!!${NEW.slice(20)}`,
    'a pass phrase of many words that is decoded to some bytes',
  ])('refuses the key %p without showing it', (key) => {
    expect(() => encryption([key])).toThrow(/32 bytes/)
    if (key !== '') expect(() => encryption([key])).not.toThrow(key)
  })

  it('needs a key', () => {
    expect(() => encryption([])).toThrow(/at least one key/)
    expect(() => encryption('ab'.repeat(32) as never)).toThrow(/an array of keys/)
  })
})
