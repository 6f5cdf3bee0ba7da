import { expect, it } from '@jest/globals'
import { MessageQueue } from '../../src/message-queue.ts'
import { fakeAdapter } from '../fake-adapter.ts'

it('codecs that lack what the configuration asks for are refused', () => {
  const same = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }
  const codecs = { encodings: { zstd: same } }
  const encryptionKey = 'a'.repeat(64)
  const make = (message: object) => new MessageQueue(fakeAdapter(), { message }, { codecs })
  expect(() => make({ messageFormat: 'msgpack', encryptionEnabled: true, encryptionKey })).toThrow(
    /messageFormat: msgpack needs application\/msgpack, message.encryptionEnabled needs aes256gcm\)/,
  )
  expect(() => make({ encryptionKey })).toThrow(expect.objectContaining({ code: 'MQ_CONFIGURATION' }))
  make({ compression: 'zstd' })
  make({ compression: 'gzip' })
})
