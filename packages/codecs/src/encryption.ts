import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { Encoding } from '@mq/core'
import { asBuffer, needs } from './bytes.ts'

/*
 * An encrypted body, version 1:
 *
 *   version (1) | key id (8) | nonce (12) | ciphertext | tag (16)
 *
 * Version and key id are authenticated with the ciphertext. The key id lets a receiver with several keys pick the right one, and says which
 * one is missing; it is a hash of the key and gives nothing of it away.
 */
const VERSION = 1
const ID_BYTES = 8
const NONCE_BYTES = 12
const TAG_BYTES = 16
const NONCE_AT = 1 + ID_BYTES
const CIPHERTEXT_AT = NONCE_AT + NONCE_BYTES

/**
 * AES-256-GCM with `keys[0]`; decrypts what any of `keys` encrypted. Keys are 32 bytes as 64 hexadecimal digits or base64.
 *
 * Nonces are random: change the key before it has encrypted 2^32 messages (NIST SP 800-38D, 8.3).
 */
export function encryption(keys: readonly string[]): Encoding {
  if (typeof keys === 'string') throw new TypeError('encryption takes an array of keys: encryption([key])')
  const known = keys.map((text) => {
    const key = keyBytes(text)
    return { key, id: keyId(key) }
  })
  const [first] = known
  if (first === undefined) throw new TypeError('encryption needs at least one key')
  return {
    encode(bytes) {
      const header = Buffer.concat([Buffer.of(VERSION), first.id])
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', first.key, nonce).setAAD(header)
      return Buffer.concat([header, nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
    },
    decode(bytes) {
      const body = asBuffer(bytes)
      needs(body, CIPHERTEXT_AT + TAG_BYTES, 'Encrypted body')
      if (body[0] !== VERSION) throw new Error(`encrypted body of the unknown version ${body[0]}`)
      const id = body.subarray(1, NONCE_AT)
      const match = known.find((each) => each.id.equals(id))
      if (match === undefined)
        throw new Error(`encrypted with key ${id.toString('hex')}, which is none of encryptionKeys`)
      const decipher = createDecipheriv('aes-256-gcm', match.key, body.subarray(NONCE_AT, CIPHERTEXT_AT), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(body.subarray(0, NONCE_AT)).setAuthTag(body.subarray(-TAG_BYTES))
      // Nothing leaves before the tag has been checked by `final`.
      return Buffer.concat([decipher.update(body.subarray(CIPHERTEXT_AT, -TAG_BYTES)), decipher.final()])
    },
  }
}

const HEX = /^[0-9a-f]{64}$/i
/** Node's decoder leaves out what is not of the alphabet: a pass phrase would do as a key, and one with a slip of the pen as another. */
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/

function keyBytes(text: string): Buffer {
  if (HEX.test(text)) return Buffer.from(text, 'hex')
  if (BASE64.test(text)) return Buffer.from(text, 'base64')
  throw new TypeError(
    'an encryption key is not 32 bytes (AES-256) as 64 hexadecimal digits or as base64: make one with `openssl rand -hex 32`',
  )
}

function keyId(key: Buffer): Buffer {
  return createHash('sha256').update('mq key id').update(key).digest().subarray(0, ID_BYTES)
}
