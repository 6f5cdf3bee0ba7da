import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import {
  connected,
  declare,
  failure,
  fresh,
  live,
  outbound,
  plainSettings,
  source,
  until,
} from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter, type RedisOptions } from '../src/index.ts'
import { slotOf } from '../src/slots.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []

beforeAll(async () => {
  broker = await startBroker('redis-cluster', { fresh: true })
}, 120_000)
afterEach(async () => {
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(3_000))))
}, 20_000)
afterAll(() => broker.stop(), 30_000)

function adapterFor(options: RedisOptions = {}): BrokerAdapter {
  const cluster = broker.urls.map((url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) }))
  const adapter = redisAdapter({ cluster, ...options })
  open.push(adapter)
  return adapter
}

/** A queue whose slot belongs to the master that owns `slot`. */
function queueIn(low: number, high: number): string {
  for (;;) {
    const name = fresh()
    const slot = slotOf(`{mq:${name}}:`)
    if (slot >= low && slot <= high) return name
  }
}

describe('a cluster', () => {
  it('agrees with the server on slots', async () => {
    for (const key of ['a', '{mq:orders}:s:0', '{mq:ä}:x', 'x{}y', '{']) {
      expect(Number(await broker.run('CLUSTER', 'KEYSLOT', key))).toBe(slotOf(key))
    }
  })

  it('carries queues of all slots', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    for (let i = 0; i < 12; i++) {
      const queue = await declare(adapter, fresh(), i % 2 === 0 ? {} : { ordered: true, maxPriority: 5 })
      const receiver = await adapter.open(source(queue, { ordered: i % 2 === 1 }), () => undefined)
      const waiting = receiver.receive(10, live, 5_000)
      expect(await adapter.publish([outbound(queue, { key: 'k' })], live)).toEqual([{ ok: true }])
      expect(await receiver.ack(await waiting)).toEqual(['settled'])
    }
  }, 30_000)

  it('gives its first connect all of connectTimeoutMs, however busy the process is', async () => {
    const adapter = adapterFor({
      cluster: [{ host: '127.0.0.1', port: Number(new URL(broker.url).port) }],
      commandTimeoutMs: 30_000,
    })
    // Longer than another node is waited for once the cluster is known. A time-out is then due before its socket is looked at.
    const cell = new Int32Array(new SharedArrayBuffer(4))
    let stalls = 0
    const stall = (): void => {
      Atomics.wait(cell, 0, 0, 2_100)
      if (++stalls < 9) setImmediate(stall)
    }
    setImmediate(stall)
    await adapter.connect({ lost: () => undefined, blocked: () => undefined }, AbortSignal.timeout(60_000))
    stalls = 9
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
  }, 90_000)

  it('dead-letters to a queue in another slot by copying before it acknowledges', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const queue = await declare(adapter, queueIn(0, 5000))
    const dead = { queue: queueIn(11_000, 16_383) }
    const sent = outbound(queue, { headers: { a: '1' }, key: 'k' })
    await adapter.publish([sent], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    expect(await receiver.deadLetter(await receiver.receive(1, live), [failure()], dead)).toEqual(['settled'])
    const browser = await adapter.open(source(dead, { mode: 'browse' }), () => undefined)
    const [found] = await browser.receive(10, live)
    expect(found).toMatchObject({
      id: sent.id,
      headers: { a: '1' },
      key: 'k',
      deadLetter: { reason: 'rejected', error: { name: 'TypeError' } },
    })
    expect(await adapter.size(queue)).toBe(0)
  }, 30_000)

  it('carries what expired to a dead-letter queue in another slot, once', async () => {
    const adapter = adapterFor()
    const second = adapterFor()
    await Promise.all([connected(adapter), connected(second)])
    const dead = { queue: queueIn(11_000, 16_383) }
    const name = queueIn(0, 5000)
    const queue = await declare(adapter, name, { deadLetterQueue: dead.queue })
    await declare(second, name, { deadLetterQueue: dead.queue })
    const sent = Array.from({ length: 5 }, () => outbound(queue, { expiresAt: Date.now() + 20 }))
    await adapter.publish(sent, live)
    await until(async () => (await adapter.size(queue)) === 0)
    await until(() =>
      adapter.size(dead).then(
        (size) => size === 5,
        () => false,
      ),
    )
    await until(async () => (await adapter.size({ queue: dead.queue })) === 5)
    const browser = await adapter.open(source(dead, { mode: 'browse' }), () => undefined)
    const found = await browser.receive(10, live)
    expect(found.map((d) => d.id).sort()).toEqual(sent.map((m) => m.id).sort())
    expect(found[0]?.deadLetter).toMatchObject({ reason: 'expired', queue: name })
  }, 30_000)

  it('keeps what a full dead-letter queue in another slot has no room for, until it has', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const dead = await declare(adapter, queueIn(11_000, 16_383), { maxLength: 1, messageTtl: 600_000 })
    const queue = await declare(adapter, queueIn(0, 5000), { deadLetterQueue: dead.queue })
    await adapter.publish([outbound(dead)], live)
    await adapter.publish([outbound(queue)], live)
    const receiver = await adapter.open(source(queue), () => undefined)
    const held = await receiver.receive(1, live)
    for (let i = 0; i < 3; i++) {
      const [outcome] = await receiver.deadLetter(held, [failure()], dead)
      expect(adapter.classify((outcome as { error: unknown }).error).code).toBe('MQ_QUEUE_FULL')
    }
    expect(await adapter.purge(dead)).toBe(1)
    expect(await receiver.deadLetter(held, [failure()], dead)).toEqual(['settled'])
    // One that expired is carried every half second: it waits as well.
    const expired = outbound(queue, { expiresAt: Date.now() + 20 })
    await adapter.publish([expired], live)
    await until(async () => (await adapter.size(queue)) === 0)
    await new Promise((resolve) => setTimeout(resolve, 1_600))
    await adapter.purge(dead)
    const consumer = await adapter.open(source(dead), () => undefined)
    const [found] = await consumer.receive(1, live, 5_000)
    expect(found?.id).toBe(expired.id)
    expect(found?.expiresAt).toBeGreaterThan(Date.now() + 500_000)
  }, 30_000)

  it('follows a slot that moves to another master while messages come and go', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const name = queueIn(0, 1000)
    const queue = await declare(adapter, name)
    const slot = slotOf(`{mq:${name}}:`)
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    const got: string[] = []
    let done = false
    const consuming = (async () => {
      while (!done) {
        const deliveries = await receiver.receive(50, live, 200)
        if (deliveries.length === 0) continue
        const outcomes = await receiver.ack(deliveries)
        deliveries.forEach((d, i) => outcomes[i] === 'settled' && got.push(d.id))
      }
    })()
    const sent: string[] = []
    const publishing = (async () => {
      while (!done) {
        const m = outbound(queue)
        const [outcome] = await adapter.publish([m], live)
        if (outcome?.ok === true) sent.push(m.id)
      }
    })()
    // Whoever of the two fails says why, instead of a condition that never comes true.
    const running = Promise.all([publishing, consuming])
    running.catch(() => undefined)
    const grown = (n: number): Promise<unknown> =>
      Promise.race([running, until(() => got.length > n, 20_000)])
    await grown(100)
    await moveSlot(slot)
    await grown(got.length + 100)
    done = true
    await running
    const rest = await receiver.receive(10_000, live, 500)
    expect(new Set([...got, ...rest.map((d) => d.id)])).toEqual(new Set(sent))
    expect(got.length + rest.length).toBe(sent.length)
  }, 60_000)

  it('keeps a receiver that waits while its slot moves, and tells it when its queue is deleted', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const name = queueIn(0, 1000)
    const queue = await declare(adapter, name)
    const receiver = await adapter.open(source({ queue: name }), () => undefined)
    for (let i = 0; i < 5; i++) {
      const waiting = receiver.receive(1, live, 20_000)
      await until(blockedReader)
      await moveSlot(slotOf(`{mq:${name}}:`))
      expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      expect(await receiver.ack(await waiting)).toEqual(['settled'])
    }
    const waiting = receiver.receive(1, live, 20_000)
    await until(blockedReader)
    await adapter.remove(queue)
    const error: unknown = await waiting.then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(adapter.classify(error).code).toBe('MQ_QUEUE_NOT_FOUND')
  }, 60_000)

  it('waits with what is sent to a topic until all of its slot has moved', async () => {
    const adapter = adapterFor()
    await connected(adapter)
    const topic = queueIn(0, 1000)
    const targets = ['a', 'b'].map((subscription) => ({ topic, subscription }))
    for (const target of targets)
      await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
    let sending: Promise<unknown> | undefined
    await moveSlot(slotOf(`{mq:${topic}}:`), `{mq:${topic}}:g:b:meta`, async () => {
      sending = adapter.publish([outbound({ topic })], live)
      await Promise.race([sending, new Promise((resolve) => setTimeout(resolve, 300))])
    })
    expect(await sending).toEqual([{ ok: true }])
    for (const target of targets) expect(await adapter.size(target)).toBe(1)
    await adapter.remove({ topic })
    for (const target of targets)
      await expect(adapter.size(target)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  }, 60_000)

  it('goes on when a master stands still: its sockets stay open, and new ones get no answer', async () => {
    const adapter = adapterFor({ commandTimeoutMs: 2_000 })
    const events = await connected(adapter)
    const [low, high] = (await masterAt(2)).slots[0] ?? [0, 0]
    const queue = await declare(adapter, queueIn(low, high))
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    broker.freeze(2)
    try {
      await until(async () => {
        const sent = adapter.publish([outbound(queue)], AbortSignal.timeout(5_000))
        return (await sent.catch(() => []))[0]?.ok === true
      }, 40_000)
    } finally {
      broker.thaw(2)
    }
    expect(events.lost).toEqual([])
  }, 90_000)

  it('loses no confirmed message and goes on when a master is killed', async () => {
    const adapter = adapterFor({ commandTimeoutMs: 2_000 })
    const events = await connected(adapter)
    const [low, high] = (await masterAt(1)).slots[0] ?? [0, 0]
    const queue = await declare(adapter, queueIn(low, high))
    const sent: string[] = []
    let done = false
    const publishing = Promise.all(
      Array.from({ length: 10 }, async () => {
        while (!done) {
          const m = outbound(queue)
          const [outcome] = await adapter.publish([m], AbortSignal.timeout(5_000)).catch(() => [])
          if (outcome?.ok === true) sent.push(m.id)
        }
      }),
    )
    await until(() => sent.length > 500)
    await broker.kill(1)
    const before = sent.length
    await until(() => sent.length > before + 500, 40_000)
    done = true
    await publishing
    const receiver = await adapter.open(source(queue, { prefetch: 10_000 }), () => undefined)
    const got = new Set<string>()
    await until(async () => {
      const deliveries = await receiver.receive(1_000, live, 0)
      for (const d of deliveries) got.add(d.id)
      return deliveries.length === 0
    })
    expect(sent.filter((id) => !got.has(id))).toEqual([])
    expect(events.lost).toEqual([])
  }, 90_000)
})

interface NodeLine {
  readonly id: string
  readonly port: number
  readonly master: boolean
  readonly slots: [number, number][]
}

async function nodes(): Promise<NodeLine[]> {
  return (await broker.run('CLUSTER', 'NODES'))
    .trim()
    .split('\n')
    .map((line) => {
      const [id = '', address = '', flags = '', , , , , , ...ranges] = line.split(' ')
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1]),
        master: flags.includes('master') && !flags.includes('fail'),
        slots: ranges.map((r): [number, number] => [
          Number(r.split('-')[0]),
          Number(r.split('-')[1] ?? r.split('-')[0]),
        ]),
      }
    })
}

/** What the cluster says of one of the first masters. */
async function masterAt(node: number): Promise<NodeLine> {
  const port = Number(new URL(broker.urls[node] as string).port)
  const found = (await nodes()).find((line) => line.master && line.port === port)
  if (found === undefined) throw new Error(`node ${node} is not a master`)
  return found
}

/** Whether some master has a client that waits in XREADGROUP. */
async function blockedReader(): Promise<boolean> {
  const { createClient } = await import('redis')
  for (const { port } of (await nodes()).filter((node) => node.master)) {
    const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
    const clients = await client.clientList()
    client.destroy()
    if (clients.some(({ flags }) => flags.includes('b'))) return true
  }
  return false
}

/** What `redis-cli --cluster reshard` does, for one slot. `first`: a key that goes before the others, with something amid. */
async function moveSlot(slot: number, first?: string, amid?: () => Promise<void>): Promise<void> {
  const { createClient } = await import('redis')
  const all = (await nodes()).filter((node) => node.master)
  const from = all.find((node) => node.slots.some(([low, high]) => slot >= low && slot <= high)) as NodeLine
  const to = all.find((node) => node.id !== from.id) as NodeLine
  const client = async (node: NodeLine) =>
    createClient({ url: `redis://127.0.0.1:${node.port}` })
      .on('error', () => undefined)
      .connect()
  const [source, target] = await Promise.all([client(from), client(to)])
  try {
    await target.sendCommand(['CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', from.id])
    await source.sendCommand(['CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id])
    const move = (key: string): Promise<unknown> =>
      source.sendCommand(['MIGRATE', '127.0.0.1', String(to.port), key, '0', '5000'])
    if (first !== undefined) await move(first)
    await amid?.()
    for (;;) {
      const keys = (await source.sendCommand([
        'CLUSTER',
        'GETKEYSINSLOT',
        String(slot),
        '10',
      ])) as unknown as string[]
      if (keys.length === 0) break
      for (const key of keys) await move(key)
    }
    for (const c of [target, source]) await c.sendCommand(['CLUSTER', 'SETSLOT', String(slot), 'NODE', to.id])
  } finally {
    source.destroy()
    target.destroy()
  }
}
