import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { connect, type Channel, type ChannelModel } from 'amqplib'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { fresh, until } from '@mq/conformance/fixtures'
import { MessageQueue, type DeadLetterInfo, type MessageQueueConfigInput } from '@mq/core'
import { rabbitmqAdapter } from '../src/index.ts'

let broker: RunningBroker
let foreign: ChannelModel
let channel: Channel
const queues: MessageQueue[] = []

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
  foreign = await connect(broker.url)
  channel = await foreign.createChannel()
}, 120_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect({ timeoutMs: 5_000 })))
}, 30_000)
afterAll(async () => {
  await foreign.close()
  await broker.stop()
}, 60_000)

async function queueFor(config: MessageQueueConfigInput): Promise<MessageQueue> {
  const queue = new MessageQueue(rabbitmqAdapter({ url: broker.url }), config)
  queues.push(queue)
  queue.on('error', () => undefined)
  await queue.connect()
  return queue
}

const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(n)
  return bytes
}
const sized = (bytes: Buffer | string): Buffer =>
  Buffer.concat([u32(Buffer.byteLength(bytes)), Buffer.from(bytes)])
const double = (n: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(n)
  return bytes
}
/** A field of an AMQP table, as it goes over the wire. */
const field = (name: string, tag: string, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name + tag), value])
const nested = (levels: number): Buffer => {
  let table: Buffer = Buffer.alloc(0)
  for (let i = 0; i < levels; i++) table = field('', 'F', sized(table))
  return table
}

/** Publishes with a table of headers, or a content type, that the client itself would not write. */
function publishRaw(queue: string, headers: Buffer | null, contentType = Buffer.alloc(0)): void {
  const { ch, connection } = channel as unknown as {
    ch: number
    connection: { sendBytes(bytes: Buffer): void }
  }
  const frame = (type: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(7)
    head[0] = type
    head.writeUInt16BE(ch, 1)
    head.writeUInt32BE(payload.length, 3)
    return Buffer.concat([head, payload, Buffer.from([0xce])])
  }
  const body = Buffer.from('x')
  const properties = Buffer.alloc(14)
  properties.writeUInt16BE(60, 0)
  properties.writeBigUInt64BE(BigInt(body.length), 4)
  properties.writeUInt16BE(headers === null ? 0x8000 : 0x2000, 12)
  const list =
    headers === null ? Buffer.concat([Buffer.from([contentType.length]), contentType]) : sized(headers)
  const publish = Buffer.concat([
    Buffer.from([0, 60, 0, 40, 0, 0, 0, queue.length]),
    Buffer.from(queue),
    Buffer.from([0]),
  ])
  connection.sendBytes(
    Buffer.concat([frame(1, publish), frame(2, Buffer.concat([properties, list])), frame(3, body)]),
  )
}

describe('headers that the client reads and cannot write', () => {
  it.each([
    ['numbers of its own kinds', [field('n', 'd', double(-1e300)), field('m', 'd', double(2 ** 51 + 0.5))]],
    ['the last of all times', [field('n', 'T', Buffer.alloc(8, 255))]],
    ['tables that look like its own notation', [field('n', 'F', sized(field('!', 'S', sized('no type'))))]],
    ['tables in tables, 3,000 deep', [field('n', 'F', sized(nested(3_000)))]],
    ['text that is no UTF-8', [field('n', 'S', sized(Buffer.from([0xff, 0xfe])))]],
    [
      'the names of what every object has',
      ['__proto__', 'constructor'].map((n) => field(n, 'S', sized('x'))),
    ],
  ])('%s: the message is retried and dead-lettered as any other', async (_, fields) => {
    const queue = await queueFor({ maxRetryAttempts: 1, retryDelaySeconds: 0.05 })
    const name = fresh()
    await queue.createQueue({ name })
    const attempts: number[] = []
    await queue.consume(name, ({ deliveryCount }) => {
      attempts.push(deliveryCount + 1)
      throw new Error('no')
    })
    publishRaw(name, Buffer.concat(fields))
    await until(async () => (await queue.deadLetters(name).count()) === 1)
    expect(attempts).toEqual([1, 2])
  })

  it('a content type that is no UTF-8: the message is retried and dead-lettered as any other', async () => {
    const queue = await queueFor({ maxRetryAttempts: 1, retryDelaySeconds: 0.05 })
    const name = fresh()
    await queue.createQueue({ name })
    const attempts: number[] = []
    await queue.consume(name, ({ deliveryCount }) => {
      attempts.push(deliveryCount + 1)
      throw new Error('no')
    })
    publishRaw(name, null, Buffer.alloc(200, 0xff))
    await until(async () => (await queue.deadLetters(name).count()) === 1)
    expect(attempts).toEqual([1, 2])
  })

  it("more than 64 KiB: the server itself dead-letters it in the end, and it is in nobody's way", async () => {
    const queue = await queueFor({ maxRetryAttempts: 1, retryDelaySeconds: 0.05 })
    const name = fresh()
    await queue.createQueue({ name, maxRedeliveries: 2 })
    const bodies: unknown[] = []
    publishRaw(name, field('n', 'S', sized('v'.repeat(100_000))))
    await queue.consume(
      name,
      ({ body }) => {
        bodies.push(body)
        if (body === 'x') throw new Error('no')
      },
      { prefetch: 1 },
    )
    await until(() =>
      queue
        .deadLetters(name)
        .count()
        .then((n) => n === 1),
    )
    await queue.send(name, 'after')
    await until(() => bodies.includes('after'))
    expect(bodies.filter((body) => body === 'x')).toHaveLength(3)
    const [dead] = (await queue.deadLetters(name).list()).messages
    expect(dead).toMatchObject({ body: 'x', deadLetter: { reason: 'rejected', queue: name } })
  })
})

describe('a time that is no date', () => {
  it('counts as now', async () => {
    const queue = await queueFor({})
    const name = fresh()
    await queue.createQueue({ name })
    channel.sendToQueue(name, Buffer.from('x'), { timestamp: 1_700_000_000_000_000_000 })
    const message = await queue.receive(name, { timeoutMs: 10_000 })
    expect(Math.abs((message?.timestamp.getTime() ?? 0) - Date.now())).toBeLessThan(60_000)
  })
})

describe('a request whose sender made up where the answer goes', () => {
  const process = (node: string) =>
    Buffer.concat([
      Buffer.from([131, 88, 119, node.length]),
      Buffer.from(node),
      Buffer.alloc(12, 7),
    ]).toString('base64')
  const direct = (rest: string) => `amq.rabbitmq.reply-to.${rest}`

  it('is handled, whatever that is, and costs no connection', async () => {
    const queue = await queueFor({})
    const name = fresh()
    await queue.createQueue({ name })
    const lost: unknown[] = []
    queue.on('disconnected', (event) => lost.push(event))
    const addresses = ['garbage', '****.x', 'aGVsbG8=.x', 'g3cCaGk=.x', '.', '', 'a.b.c'].map(direct)
    let handled = 0
    await queue.consume(name, () => void handled++)
    for (const replyTo of [...addresses, '', 'no-such-queue', 'ü'.repeat(100)])
      channel.sendToQueue(name, Buffer.from('x'), { replyTo, correlationId: 'c' })
    await until(() => handled === addresses.length + 3 && queue.getStats().inFlight === 0)
    expect(lost).toEqual([])
    const looking = await foreign.createChannel()
    looking.on('error', () => undefined)
    await expect(looking.checkQueue('no-such-queue')).rejects.toMatchObject({ code: 404 })
    expect(await queue.request(name, 1, { timeoutMs: 10_000 })).toMatchObject({ body: null })
  })

  it("and names the place for answers itself, is in nobody's way when it is sent or dead-lettered", async () => {
    const queue = await queueFor({})
    const name = fresh()
    await queue.createQueue({ name })
    const got: unknown[] = []
    await queue.consume(name, ({ replyTo }) => {
      got.push(replyTo)
      throw new Error('no')
    })
    await queue.send(name, 1, { replyTo: 'amq.rabbitmq.reply-to' })
    await until(async () => (await queue.deadLetters(name).count()) === 1)
    const [dead] = (await queue.deadLetters(name).list()).messages
    expect([...got, dead?.replyTo]).toEqual(['amq.rabbitmq.reply-to', 'amq.rabbitmq.reply-to'])
  })

  it('and looks right, is dead-lettered when the server has ended the connection for it too often', async () => {
    const queue = await queueFor({})
    const name = fresh()
    await queue.createQueue({ name, maxRedeliveries: 2 })
    const reasons: string[] = []
    queue.on('deadLetter', (_: unknown, { reason }: DeadLetterInfo) => reasons.push(reason))
    const handled: unknown[] = []
    await queue.consume(name, ({ body }) => void handled.push(body))
    const replyTo = direct(`${process('reply@1')}.x`)
    channel.sendToQueue(name, Buffer.from('bad'), { replyTo, correlationId: 'c' })
    await until(() => reasons.length > 0, 30_000)
    await queue.send(name, 'after')
    await until(() => handled.includes('after'))
    await until(
      async () =>
        (await queue
          .deadLetters(name)
          .count()
          .catch(() => 0)) === 1,
    )
    expect(reasons).toEqual(['delivery-limit'])
  }, 60_000)
})

describe('bodies that are not what they say', () => {
  it.each([
    ['text that is no UTF-8', Buffer.from([0xff, 0xfe]), { contentType: 'text/plain' }],
    ['JSON that is none', Buffer.from('{'), { contentType: 'application/json' }],
    ['gzip that is none', Buffer.from('x'), { contentEncoding: 'gzip' }],
  ])('%s: dead-lettered, and the next is handled', async (_, body, properties) => {
    const queue = await queueFor({})
    const name = fresh()
    await queue.createQueue({ name })
    const handled: unknown[] = []
    await queue.consume(name, (message) => void handled.push(message.body))
    channel.sendToQueue(name, body, properties)
    await queue.send(name, 'after')
    await until(async () => (await queue.deadLetters(name).count()) === 1)
    await until(() => handled.length === 1)
    expect(handled).toEqual(['after'])
  })
})
