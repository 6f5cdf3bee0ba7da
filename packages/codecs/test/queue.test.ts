import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { createMemoryBroker, memoryAdapter, MessageQueue, type MessageQueueConfigInput } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter } from '@mq/redis'
import { createCodecs, encryption } from '../src/index.ts'

const KEY = randomBytes(32).toString('hex')
const OTHER = randomBytes(32).toString('base64')
const long = { text: 'to be compressed '.repeat(500) }
const bytes = (text: string) => Buffer.from(text)

let server: RunningBroker
beforeAll(async () => {
  server = await startBroker('redis')
}, 60_000)
afterAll(() => server.stop())

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

describe.each(['memory', 'redis'] as const)('a queue with codecs on %s', (broker) => {
  const open: MessageQueue[] = []
  let adapter: () => BrokerAdapter
  /** A queue of its own for every test, since the server is everybody's. */
  let name: string
  beforeEach(() => {
    name = `codecs.${randomUUID()}`
    const memory = createMemoryBroker()
    adapter = () =>
      broker === 'memory' ? memoryAdapter({ broker: memory }) : redisAdapter({ url: server.url })
  })
  afterEach(async () => {
    for (const queue of open.splice(0)) await queue.disconnect()
  })

  async function connect(message: MessageQueueConfigInput['message'] = {}): Promise<MessageQueue> {
    return opened(new MessageQueue(adapter(), { message }))
  }

  async function opened(queue: MessageQueue): Promise<MessageQueue> {
    open.push(queue)
    await queue.connect()
    return queue
  }

  /** Bytes as they are, under encodings that the queue cannot write: its codecs are stand-ins that change nothing. */
  async function sendRaw(bodies: readonly (readonly [string, Uint8Array])[]): Promise<void> {
    const same = { encode: (body: Uint8Array) => body, decode: (body: Uint8Array) => body }
    const names = bodies.flatMap(([encoding]) => encoding.split(',').map((each) => each.trim()))
    const encodings = Object.fromEntries(names.map((encoding) => [encoding, same]))
    const raw = await opened(new MessageQueue(adapter(), {}, { codecs: { encodings } }))
    for (const [contentEncoding, body] of bodies) await raw.send(name, body, { contentEncoding })
  }

  it.each(['zstd', 'snappy', 'lz4'] as const)('compresses with %s', async (compression) => {
    const queue = await connect({ compression })
    await queue.send(name, long)
    const message = await queue.receive(name, { timeoutMs: 5000 })
    expect(message?.body).toEqual(long)
    expect(message?.contentEncoding).toBe(compression)
    if (message) await queue.acknowledge(message)
  })

  it('writes MessagePack, compressed, then encrypted', async () => {
    const settings = {
      messageFormat: 'msgpack',
      compression: 'zstd',
      encryptionEnabled: true,
      encryptionKey: KEY,
    } as const
    const queue = await connect(settings)
    const body = { ...long, at: new Date(0), bytes: Uint8Array.of(1, 2) }
    await queue.send(name, body)
    const message = await queue.receive(name, { timeoutMs: 5000 })
    expect(message?.body).toEqual(body)
    expect(message?.contentType).toBe('application/msgpack')
    if (message) await queue.acknowledge(message)
    // Without the key it is not so.
    await queue.send(name, body)
    expect(await outcomes(await connect(), name, 1)).toEqual(['dead: undecodable'])
  })

  it('brings an empty body back through every codec', async () => {
    const { encodings } = await createCodecs({ encryptionKey: KEY })
    const empty = Object.entries(encodings ?? {}).map(
      ([encoding, { encode }]) => [encoding, encode(Buffer.alloc(0))] as const,
    )
    expect(empty).toHaveLength(4)
    await sendRaw(empty)
    const receiver = await connect({ compression: 'zstd', encryptionKey: KEY })
    expect(await outcomes(receiver, name, 4)).toEqual(empty.map(() => Buffer.alloc(0)))
  })

  it('decrypts with a key alone, before its senders encrypt and after', async () => {
    const receiver = await connect({ encryptionKey: KEY })
    await (await connect()).send(name, 'plain')
    await (await connect({ encryptionEnabled: true, encryptionKey: KEY })).send(name, 'secret')
    expect(await outcomes(receiver, name, 2)).toEqual(['plain', 'secret'])
  })

  it('rotates: a new key encrypts, the old one still decrypts', async () => {
    const old = await connect({ encryptionEnabled: true, encryptionKey: KEY })
    const rotated = { encryptionEnabled: true, encryptionKey: OTHER, encryptionKeys: [KEY] }
    const both = await connect(rotated)
    await old.send(name, 1)
    await both.send(name, 2)
    expect(await outcomes(both, name, 2)).toEqual([1, 2])
  })

  it('dead-letters what an unknown key encrypted, whole: redriven to who has the key, it is read', async () => {
    const sender = await connect({ encryptionEnabled: true, encryptionKey: OTHER })
    await sender.send(name, 'for others')
    const wrong = await connect({ encryptionKey: KEY })
    const consumer = await wrong.consume(name, () => undefined)
    await once(wrong, 'deadLetter')
    await consumer.stop()
    await wrong.deadLetters(name).redrive()
    expect(await outcomes(await connect({ encryptionKey: OTHER }), name, 1)).toEqual(['for others'])
  })

  it('inflates up to the limit and not a byte further', async () => {
    const limit = 100_000
    const fits = Buffer.alloc(limit, 'ab')
    const { encodings } = await createCodecs()
    const packed = Object.entries(encodings ?? {}).flatMap(([encoding, { encode }]) => [
      [encoding, encode(fits)] as const,
      [encoding, encode(Buffer.alloc(limit + 1, 'ab'))] as const,
    ])
    await sendRaw([...packed, ['gzip', gzipSync(fits)], ['gzip', gzipSync(Buffer.alloc(limit + 1))]])
    const receiver = await connect({ compression: 'zstd', maxInflatedBytes: limit })
    const seen = await outcomes(receiver, name, packed.length + 2)
    expect(seen.filter((each) => each === 'dead: undecodable')).toHaveLength(packed.length / 2 + 1)
    const whole = seen.filter((each) => each instanceof Uint8Array)
    expect(whole).toHaveLength(packed.length / 2 + 1)
    for (const body of whole) expect(body).toHaveLength(limit)
  })

  it('undoes nested encodings in the right order, and inflates none beyond the limit on the way', async () => {
    const { encodings } = await createCodecs({ encryptionKey: KEY })
    const apply = (body: Uint8Array, ...chain: string[]) =>
      chain.reduce((inner, each) => (encodings?.[each]?.encode(inner) ?? gzipSync(inner)) as Uint8Array, body)
    const chains = [
      ['zstd', 'aes256gcm'],
      ['aes256gcm', 'lz4'],
      ['gzip', 'snappy', 'aes256gcm', 'zstd'],
    ]
    const bad: [string, Uint8Array][] = [
      // Said to be the other way round.
      ['aes256gcm, zstd', apply(bytes('x'), 'zstd', 'aes256gcm')],
      // Small outside and inside, enormous between.
      ['zstd, gzip', apply(Buffer.alloc(20_000_000), 'zstd', 'gzip')],
      ['gzip, zstd', apply(apply(Buffer.alloc(20_000_000), 'gzip'), 'zstd')],
    ]
    await sendRaw([
      ...chains.map((chain) => [chain.join(', '), apply(bytes(chain.join()), ...chain)] as const),
      ...bad,
    ])
    const receiver = await connect({ compression: 'zstd', encryptionKey: KEY, maxInflatedBytes: 1_000_000 })
    const seen = await outcomes(receiver, name, chains.length + bad.length)
    const texts = seen.map((each) => (each instanceof Uint8Array ? Buffer.from(each).toString() : each))
    expect(texts.sort()).toEqual([...chains.map(String), ...bad.map(() => 'dead: undecodable')].sort())
  })

  it('dead-letters the wrong key, tampering, truncation and bombs, and goes on', async () => {
    const { encodings } = await createCodecs()
    const sealed = Buffer.from(encryption([KEY]).encode(bytes('x')))
    const tampered = Buffer.from(sealed)
    tampered[25] = (tampered[25] as number) ^ 1
    const bomb = Buffer.alloc(5_000_000)
    const bad: [string, Uint8Array][] = [
      ['aes256gcm', encryption([OTHER]).encode(bytes('x'))],
      ['aes256gcm', tampered],
      ['aes256gcm', sealed.subarray(0, -1)],
      ['aes256gcm', Buffer.alloc(0)],
      ['aes256gcm', Buffer.concat([sealed, sealed])],
      ['gzip', gzipSync(bomb)],
      ['gzip', Buffer.alloc(0)],
      ['snappy', Buffer.from('ffffffff0f', 'hex')],
    ]
    for (const each of ['zstd', 'snappy', 'lz4']) {
      const packed = encodings?.[each]?.encode(bomb) as Uint8Array
      bad.push([each, packed], [each, packed.subarray(0, 20)], [each, Buffer.alloc(0)])
    }
    await sendRaw(bad)
    const receiver = await connect({ compression: 'zstd', encryptionKey: KEY, maxInflatedBytes: 100_000 })
    await (await connect()).send(name, 'fine')
    const seen = await outcomes(receiver, name, bad.length + 1)
    expect(seen.filter((each) => each === 'dead: undecodable')).toHaveLength(bad.length)
    expect(seen).toContain('fine')
    expect(await receiver.deadLetters(name).count()).toBe(bad.length)
  })
})
