import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { BrokerAdapter, Delivery, OutboundMessage, QueueSettings, Receiver } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { failure, live, outbound, plainSettings, source } from '../fixtures.ts'
import { later, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { edgeHeaders, everyByte } from '../samples.ts'

const HIGHEST_PRIORITY = 9
const SHORT_LEASE_MS = 300
const DELAY_MS = 200
const NO_BYTES = new Uint8Array(0)

/** What every copy of a message keeps, a dead letter too. */
const KEPT = [
  'contentType',
  'contentEncoding',
  'correlationId',
  'key',
  'deduplicationId',
  'timestamp',
  'priority',
] as const

/** What ends when a message is dead. */
const ALIVE = ['replyTo', 'expiresAt', 'redriven'] as const

/** What a message may have, or not. */
const OPTIONAL = [
  'contentEncoding',
  'correlationId',
  'replyTo',
  'routingKey',
  'key',
  'deduplicationId',
  'expiresAt',
  'deliveryCount',
  'redriven',
] as const

type Another = (leaseMs?: number) => Promise<Receiver>

/** How a message that is held comes back, one after the other; `another` receiver may be the one that it comes to. */
const WAYS_BACK: readonly {
  readonly path: string
  readonly counts: number
  /** Only where a lease makes the owner. */
  readonly lease?: true
  /** For how long it is away, in ms. */
  readonly away?: number
  readonly step: (receiver: Receiver, delivery: Delivery, another: Another) => Promise<unknown>
}[] = [
  { path: 'left', counts: 0, step: (receiver, _, another) => closed(receiver).then(() => another()) },
  { path: 'released', counts: 0, step: (receiver, delivery) => receiver.release([delivery]) },
  { path: 'retried', counts: 1, step: (receiver, delivery) => receiver.retry([delivery], 0) },
  { path: 'released after a retry', counts: 0, step: (receiver, delivery) => receiver.release([delivery]) },
  {
    path: 'retried later',
    counts: 1,
    away: DELAY_MS,
    step: (receiver, delivery) => receiver.retry([delivery], DELAY_MS),
  },
  {
    path: 'left after a retry',
    counts: 0,
    step: (receiver, _, another) => closed(receiver).then(() => another(SHORT_LEASE_MS)),
  },
  { path: 'left until its lease ran out', counts: 0, lease: true, step: (_, __, another) => another() },
]

const closed = (receiver: Receiver): Promise<void> => receiver.close(live)

/** As long as it may be, of letters of both cases, and not ASCII. */
const long = (what: string): string => `${what}-漢-`.padEnd(200, 'Xy')

/** A message that has every field, of the kind that is lost first: not ASCII, long, or of a time gone by. */
export function full(t: TestContext, queue: string, fields: Partial<OutboundMessage> = {}): OutboundMessage {
  return outbound(
    { queue },
    {
      id: ` ïD-漢-${randomUUID()}`.padEnd(200, 'Xy '),
      body: everyByte,
      headers: {
        ...edgeHeaders,
        Mixed: 'Case',
        'mq-x': 'of core',
        // With the others nearly the 32 KiB that a message may have.
        long: 'x'.repeat(31_000),
        [`Ünïcode 漢 ${'n'.repeat(180)}`]: 'a long name',
      },
      timestamp: 1_700_000_000_123,
      contentType: 'application/x-Made-up; charset="UTF-8"',
      contentEncoding: 'identity',
      correlationId: long('Corrélation'),
      replyTo: long('Somewhere'),
      routingKey: 'r.Kéy',
      key: long('Clé'),
      deduplicationId: long('Dédup'),
      expiresAt: t.now() + 600_000,
      deliveryCount: 3,
      redriven: true,
      ...fields,
    },
  )
}

export function same(delivery: Delivery | undefined, message: OutboundMessage, path: string): void {
  assert.ok(delivery !== undefined, `${path}: it did not come`)
  assert.equal(delivery.id, message.id, `${path}: id`)
  for (const field of KEPT) assert.equal(delivery[field], message[field], `${path}: ${field}`)
  // A broker's own routing key, the queue's name, may stand where there was none.
  if (message.routingKey !== undefined)
    assert.equal(delivery.routingKey, message.routingKey, `${path}: routingKey`)
  assert.deepEqual({ ...delivery.headers }, { ...message.headers }, `${path}: headers`)
  assert.ok(
    Buffer.compare(delivery.body, message.body) === 0,
    `${path}: ${message.body.length} bytes of body`,
  )
}

export function sameAlive(delivery: Delivery | undefined, message: OutboundMessage, path: string): void {
  same(delivery, message, path)
  for (const field of ALIVE) assert.equal(delivery?.[field], message[field], `${path}: ${field}`)
  assert.equal(delivery?.deliveryCount, message.deliveryCount, `${path}: deliveryCount`)
  assert.equal(delivery?.deadLetter, undefined, `${path}: deadLetter`)
}

interface Kind {
  readonly settings: QueueSettings
  readonly over: Partial<OutboundMessage>
}

/** What a message may be, and the kinds of queue that it may have to pass; priorities can be a kind of its own to a broker. */
function kinds(t: TestContext): readonly Kind[] {
  const plain = [
    { settings: plainSettings, over: {} },
    { settings: plainSettings, over: { body: NO_BYTES } },
  ]
  if (t.capabilities.priorityLevels <= 1) return plain
  const settings = { ...plainSettings, maxPriority: HIGHEST_PRIORITY }
  return [...plain, { settings, over: { priority: 7 } }]
}

/** Does it with each kind, all at once. */
async function withEach(t: TestContext, work: (kind: Kind) => Promise<void>): Promise<void> {
  await Promise.all(kinds(t).map((kind) => later(work(kind))))
}

async function declare(adapter: BrokerAdapter, queue: string, settings: QueueSettings): Promise<void> {
  await adapter.declare({ queue }, { settings, pattern: undefined, ifExists: 'take' })
}

function open(adapter: BrokerAdapter, queue: string, leaseMs = 30_000): Promise<Receiver> {
  return adapter.open(source({ queue }, { mode: 'pull', leaseMs }), () => undefined)
}

async function publish(t: TestContext, adapter: BrokerAdapter, batch: readonly OutboundMessage[]) {
  for (const { ok } of await adapter.publish(batch, t.deadline())) assert.ok(ok, 'it was not accepted')
}

/** What becomes of the fields of a message, whichever way it takes. */
export const fields = group('contract', (item) => {
  item('fields', 'every field of the wire comes back, and what was absent is absent', async (t) => {
    const adapter = await t.connected()
    const name = t.name()
    await declare(adapter, name, plainSettings)
    const bare = outbound({ queue: name }, { contentType: 'text/plain', timestamp: 1_700_000_000_456 })
    // Each by itself, too: what most messages do not have may be kept apart.
    const alone = OPTIONAL.map((field) => outbound({ queue: name }, { [field]: full(t, name)[field] }))
    // Long ago, and beyond what 32 bits hold in seconds.
    const times = [0, 1, 5_000_000_000_123].map((timestamp) => outbound({ queue: name }, { timestamp }))
    const often = outbound({ queue: name }, { deliveryCount: 70_000 })
    const apart = [full(t, name), bare, often, ...alone, ...times]
    const together = [full(t, name), outbound({ queue: name }), full(t, name, { body: NO_BYTES })]
    for (const message of apart) await publish(t, adapter, [message])
    await publish(t, adapter, together)
    const sent = [...apart, ...together]
    const got = await receiveAll(t, await adapter.open(source({ queue: name }), () => undefined), sent.length)
    for (const message of sent) {
      const delivery = got.find(({ id }) => id === message.id)
      sameAlive(delivery, message, 'sent')
      assert.ok(delivery?.raw !== undefined, 'sent: raw')
    }
  })

  item('fields-delayed', 'a delayed message keeps every field', async (t) => {
    const adapter = await t.connected()
    await withEach(t, async ({ settings, over }) => {
      const name = t.name()
      await declare(adapter, name, settings)
      const receiver = await open(adapter, name)
      const message = full(t, name, { ...over, delayMs: DELAY_MS })
      const sentAt = t.now()
      await publish(t, adapter, [message])
      const [delivery] = await receiveAll(t, receiver, 1)
      assert.ok(t.now() - sentAt >= DELAY_MS - 2, `came after ${t.now() - sentAt} ms`)
      sameAlive(delivery, message, 'delayed')
    })
  })

  item('fields-returned', 'a message that is given back, retried or left keeps every field', async (t) => {
    const adapter = await t.connected()
    const ways = WAYS_BACK.filter(({ lease }) => lease !== true || t.capabilities.ownership === 'lease')
    await withEach(t, async ({ settings, over }) => {
      const name = t.name()
      await declare(adapter, name, settings)
      const message = full(t, name, over)
      await publish(t, adapter, [message])
      let receiver = await open(adapter, name)
      const another: Another = async (leaseMs) => (receiver = await open(adapter, name, leaseMs))
      const held = async () => (await receiveAll(t, receiver, 1))[0] as Delivery
      let delivery = await held()
      let { deliveryCount } = message
      for (const { path, counts, away = 0, step } of ways) {
        const { firstFailedAt } = delivery
        const leftAt = t.now()
        await step(receiver, delivery, another)
        delivery = await held()
        assert.ok(t.now() - leftAt >= away - 2, `${path}: came after ${t.now() - leftAt} ms`)
        deliveryCount += counts
        sameAlive(delivery, { ...message, deliveryCount }, path)
        if (counts > 0) assert.ok(delivery.firstFailedAt !== undefined, `${path}: firstFailedAt`)
        if (counts === 0 || firstFailedAt !== undefined)
          assert.equal(delivery.firstFailedAt, firstFailedAt, `${path}: firstFailedAt`)
      }
    })
  })

  item('fields-browsed', 'a browse shows every field', async (t) => {
    const adapter = await t.connected()
    await withEach(t, async ({ settings, over }) => {
      const name = t.name()
      await declare(adapter, name, settings)
      const message = full(t, name, over)
      const bare = outbound({ queue: name })
      await publish(t, adapter, [message])
      await publish(t, adapter, [bare])
      const browsing = await adapter.open(source({ queue: name }, { mode: 'browse' }), () => undefined)
      const seen = await receiveAll(t, browsing, 2)
      for (const each of [message, bare]) {
        const shown = seen.find(({ id }) => id === each.id)
        sameAlive(shown, each, 'browsed')
        assert.ok(shown?.position !== undefined, 'browsed: position')
      }
      await browsing.close(live)
    })
  })

  item('fields-topic', 'the copies of a topic keep every field, at once or delayed', async (t) => {
    const adapter = await t.connected()
    const topic = t.name('topic')
    await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const targets = ['a', 'b'].map((subscription) => ({ topic, subscription }))
    for (const target of targets)
      await adapter.declare(target, { settings: plainSettings, pattern: 'r.*', ifExists: 'take' })
    const destination = { topic }
    const sent = [{}, { body: NO_BYTES }, { delayMs: 50 }, { body: NO_BYTES, delayMs: 50 }].map((over) =>
      full(t, '', { destination, ...over }),
    )
    for (const message of sent) await publish(t, adapter, [message])
    for (const target of targets) {
      const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
      const got = await receiveAll(t, receiver, sent.length)
      for (const message of sent)
        sameAlive(
          got.find(({ id }) => id === message.id),
          message,
          `subscription ${target.subscription}`,
        )
    }
  })

  item('fields-dead', 'a dead letter keeps what the message is, and begins a life of its own', async (t) => {
    const adapter = await t.connected()
    await withEach(t, async ({ settings, over }) => {
      const [name, dead] = [t.name(), t.name('dead')]
      await declare(adapter, name, settings)
      await declare(adapter, dead, settings)
      const message = full(t, name, over)
      await publish(t, adapter, [message])
      const receiver = await open(adapter, name)
      const [first] = await receiveAll(t, receiver, 1)
      await receiver.retry(first === undefined ? [] : [first], 0)
      const info = failure({ queue: name })
      const failed = await receiveAll(t, receiver, 1)
      await receiver.deadLetter(failed, [info], { queue: dead })
      const [letter] = await receiveAll(t, await open(adapter, dead), 1)
      same(letter, message, 'dead')
      assert.deepEqual(letter?.deadLetter, info)
      assert.deepEqual([letter.expiresAt, letter.deliveryCount], [undefined, 0], 'expiry and count')
    })
  })
})
