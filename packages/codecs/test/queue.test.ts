import { afterEach, describe, expect, it } from '@jest/globals'
import { randomBytes, randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { MessageQueueFactory, type MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import { createCodecs, encryption } from '../src/index.ts'

const open: MessageQueue[] = []
const broker = () => `memory://${randomUUID()}`

async function connect(url: string, message: MessageQueueConfigInput['message'] = {}): Promise<MessageQueue> {
  const queue = MessageQueueFactory.createQueue({ broker: 'memory', connection: { url }, message })
  open.push(queue)
  await queue.connect()
  return queue
}

afterEach(async () => {
  for (const queue of open.splice(0)) await queue.disconnect()
})

/** Consumes until `count` messages were handled or dead-lettered; answers bodies and reasons in order. */
async function outcomes(queue: MessageQueue, name: string, count: number): Promise<unknown[]> {
  const seen: unknown[] = []
  return new Promise((resolve, reject) => {
    const note = (what: unknown) => {
      seen.push(what)
      if (seen.length === count) resolve(seen)
    }
    queue.on('deadLetter', (_message, { reason }) => note(`dead: ${reason}`))
    queue.consume(name, (message) => note(message.body)).catch(reject)
  })
}

const KEY = randomBytes(32).toString('hex')
const OTHER = randomBytes(32).toString('base64')
const long = { text: 'to be compressed '.repeat(500) }

describe('a queue with codecs', () => {
  it.each(['zstd', 'snappy', 'lz4'] as const)('compresses with %s', async (compression) => {
    const url = broker()
    const queue = await connect(url, { compression })
    await queue.send('q', long)
    const message = await queue.receive('q')
    expect(message?.body).toEqual(long)
    expect(message?.contentEncoding).toBe(compression)
  })

  it('writes MessagePack, compressed and encrypted', async () => {
    const url = broker()
    const settings = {
      messageFormat: 'msgpack',
      compression: 'zstd',
      encryptionEnabled: true,
      encryptionKey: KEY,
    } as const
    const queue = await connect(url, settings)
    await queue.send('q', long)
    const message = await queue.receive('q')
    expect(message?.body).toEqual(long)
    expect(message?.contentType).toBe('application/msgpack')
  })

  it('decrypts with a key alone, before its senders encrypt and after', async () => {
    const url = broker()
    const receiver = await connect(url, { encryptionKey: KEY })
    await (await connect(url)).send('q', 'plain')
    await (await connect(url, { encryptionEnabled: true, encryptionKey: KEY })).send('q', 'secret')
    expect(await outcomes(receiver, 'q', 2)).toEqual(['plain', 'secret'])
  })

  it('rotates: a new key encrypts, the old one still decrypts', async () => {
    const url = broker()
    const old = await connect(url, { encryptionEnabled: true, encryptionKey: KEY })
    const rotated = { encryptionEnabled: true, encryptionKey: OTHER, encryptionKeys: [KEY] }
    const both = await connect(url, rotated)
    await old.send('q', 1)
    await both.send('q', 2)
    expect(await outcomes(both, 'q', 2)).toEqual([1, 2])
  })

  it('dead-letters the wrong key, tampering, truncation and bombs, and goes on', async () => {
    const url = broker()
    const codecs = await createCodecs()
    const key = encryption([KEY])
    const receiver = await connect(url, {
      compression: 'zstd',
      encryptionKey: KEY,
      maxInflatedBytes: 100_000,
    })
    const sender = await connect(url)
    const sealed = Buffer.from(key.encode(Buffer.from('x')))
    const tampered = Buffer.from(sealed)
    tampered[25] = (tampered[25] as number) ^ 1
    const bomb = Buffer.alloc(5_000_000)
    const bad: [string, Uint8Array][] = [
      ['aes256gcm', encryption([OTHER]).encode(Buffer.from('x'))],
      ['aes256gcm', tampered],
      ['aes256gcm', sealed.subarray(0, -1)],
      ['aes256gcm', Buffer.alloc(0)],
      ['gzip', gzipSync(bomb)],
      ['snappy', Buffer.from('ffffffff0f', 'hex')],
    ]
    for (const name of ['zstd', 'snappy', 'lz4']) {
      const packed = codecs.encodings?.[name]?.encode(bomb) as Uint8Array
      bad.push([name, packed], [name, packed.subarray(0, 20)])
    }
    await sendRaw(sender, 'q', bad)
    await sender.send('q', 'fine')
    const seen = await outcomes(receiver, 'q', bad.length + 1)
    expect(seen.filter((each) => each === 'dead: undecodable')).toHaveLength(bad.length)
    expect(seen).toContain('fine')
  })
})

/** Bytes as they are, under an encoding that `queue` itself cannot write: its codecs are stand-ins that change nothing. */
async function sendRaw(queue: MessageQueue, name: string, bodies: [string, Uint8Array][]): Promise<void> {
  const url = queue.config.connection.url as string
  const same = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes }
  const encodings = Object.fromEntries(bodies.map(([encoding]) => [encoding, same]))
  const raw = MessageQueueFactory.createQueue(
    { broker: 'memory', connection: { url } },
    { codecs: { encodings } },
  )
  open.push(raw)
  await raw.connect()
  for (const [contentEncoding, body] of bodies) await raw.send(name, body, { contentEncoding })
}
