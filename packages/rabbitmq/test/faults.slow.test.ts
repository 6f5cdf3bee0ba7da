import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { faultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, outbound, plainSettings, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery, Receiver } from '@mq/core/adapter'
import { MessageQueue } from '@mq/core'
import { connect } from 'amqplib'
import { rabbitmqAdapter } from '../src/index.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
}, 120_000)

beforeEach(async () => {
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
})

afterAll(async () => {
  await Promise.all(open.map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
  await broker.stop()
}, 60_000)

const soon = (ms = 15_000) => AbortSignal.timeout(ms)

function adapterOf(options: Parameters<typeof rabbitmqAdapter>[0] = {}): BrokerAdapter {
  const adapter = rabbitmqAdapter({ url: broker.url, ...options })
  open.push(adapter)
  return adapter
}

async function drain(receiver: Receiver, n: number, ms = 30_000): Promise<Delivery[]> {
  const got: Delivery[] = []
  const end = performance.now() + ms
  while (got.length < n && performance.now() < end) {
    const more = await receiver.receive(1_000, soon(), 1_000)
    await receiver.ack(more)
    got.push(...more)
  }
  return got
}

describe('kill -9', () => {
  it('loses no confirmed message in 20 kills', async () => {
    const { queue } = await (async () => {
      const adapter = adapterOf()
      await connected(adapter)
      // The dead-letter queue is made after the queue, and with it the server has written down where the queue's log is.
      const name = fresh()
      return declare(adapter, name, { deadLetterQueue: `${name}.dlq` })
    })()
    const confirmed = new Set<string>()
    for (let kill = 0; kill < 20; kill++) {
      const adapter = adapterOf()
      const { gone } = await connected(adapter)
      let publishing = true
      const all: Promise<void>[] = []
      const publishOn = async (): Promise<void> => {
        while (publishing) {
          const batch = Array.from({ length: 50 }, () => outbound({ queue }))
          const outcomes = await adapter.publish(batch, soon())
          outcomes.forEach((outcome, i) => {
            const sent = batch[i]
            if (outcome.ok && sent !== undefined) confirmed.add(sent.id)
            if (!outcome.ok) publishing = false
          })
        }
      }
      for (let i = 0; i < 4; i++) all.push(publishOn().catch(() => undefined))
      const before = confirmed.size
      await until(() => confirmed.size > before + 100)
      await broker.kill()
      publishing = false
      await gone
      await Promise.all(all)
      await broker.start()
    }
    const adapter = adapterOf()
    await connected(adapter)
    const receiver = await adapter.open(source({ queue }, { prefetch: 1_000 }), () => undefined)
    const found = new Set<string>()
    await until(async () => {
      for (const { id } of await drain(receiver, 1, 2_000)) found.add(id)
      return [...confirmed].every((id) => found.has(id))
    }, 60_000)
    expect(confirmed.size).toBeGreaterThan(2_000)
  }, 600_000)
})

describe('connections', () => {
  it('closed by the server are reported once, with a cause, and a new attempt works', async () => {
    const adapter = adapterOf()
    const { lost, gone } = await connected(adapter)
    const { queue } = await declare(adapter, fresh())
    const receiver = await adapter.open(source({ queue }), () => undefined)
    const receiving = receiver.receive(1, soon(), 10_000)
    receiving.catch(() => undefined)
    await broker.run('close_all_connections', 'maintenance')
    expect(adapter.classify(await gone)).toEqual({ code: 'MQ_CONNECTION', retryable: true })
    await expect(receiving).rejects.toBeDefined()
    await expect(adapter.ping(soon())).rejects.toMatchObject({ code: 'MQ_NOT_CONNECTED' })
    await connected(adapter)
    expect(await adapter.publish([outbound({ queue })], soon())).toEqual([{ ok: true }])
    expect(lost).toHaveLength(1)
  }, 60_000)

  it('that a frozen server lets die are noticed by the heartbeat, and every promise settles', async () => {
    const adapter = adapterOf({ heartbeat: 1 })
    const { gone } = await connected(adapter)
    const { queue } = await declare(adapter, fresh())
    broker.freeze()
    try {
      const publishing = adapter.publish([outbound({ queue })], soon())
      const sizing = adapter.size({ queue })
      sizing.catch(() => undefined)
      await gone
      expect((await publishing)[0]).toMatchObject({ ok: false, certainty: 'unknown' })
      await expect(sizing).rejects.toBeDefined()
      await adapter.disconnect(soon(1_000))
    } finally {
      broker.thaw()
    }
  }, 60_000)

  it('with a wrong password or virtual host are refused as that, at once', async () => {
    for (const options of [{ password: 'wrong' }, { vhost: 'nowhere' }]) {
      const adapter = adapterOf(options)
      const error = await adapter.connect({ lost() {}, blocked() {} }, soon()).then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(adapter.classify(error)).toEqual({ code: 'MQ_AUTHENTICATION', retryable: false })
    }
  })

  it('go to the next host when one does not answer', async () => {
    const { port } = new URL(broker.url)
    const hosts = [
      { host: '127.0.0.1', port: 1 },
      { host: '127.0.0.1', port: Number(port) },
    ]
    const adapter = rabbitmqAdapter({ hosts })
    open.push(adapter)
    await connected(adapter)
    await adapter.ping(soon())
  })

  it('that nobody answers give up on abort, and close on abort', async () => {
    const { hostname, port } = new URL(broker.url)
    const proxy = await faultProxy({ host: hostname, port: Number(port) })
    const adapter = rabbitmqAdapter({ host: proxy.host, port: proxy.port })
    open.push(adapter)
    await connected(adapter)
    proxy.blackHole()
    await adapter.disconnect(AbortSignal.timeout(200))
    await expect(adapter.connect({ lost() {}, blocked() {} }, AbortSignal.timeout(300))).rejects.toBeDefined()
    await proxy.close()
  })
})

describe('an alarm', () => {
  it.each([
    ['memory', ['set_vm_memory_high_watermark', 'absolute', '1MB'], ['set_vm_memory_high_watermark', '0.4']],
    ['disk', ['set_disk_free_limit', '900000GB'], ['set_disk_free_limit', '50MB']],
  ])(
    'of %s blocks publishing, while consuming and administration go on',
    async (_, raise, clear) => {
      const adapter = adapterOf()
      const { blocked } = await connected(adapter)
      const { queue } = await declare(adapter, fresh())
      await adapter.publish([outbound({ queue }), outbound({ queue })], soon())
      await broker.run(...raise)
      try {
        const publishing = adapter.publish([outbound({ queue })], soon(60_000))
        await until(() => blocked.length === 1)
        expect(typeof blocked[0]).toBe('string')
        const receiver = await adapter.open(source({ queue }), () => undefined)
        expect((await drain(receiver, 2)).length).toBe(2)
        await adapter.ping(soon())
        await broker.run(...clear)
        expect(await publishing).toEqual([{ ok: true }])
        expect(blocked.at(-1)).toBeNull()
      } finally {
        await broker.run(...clear)
      }
    },
    90_000,
  )
})

describe('a channel that the server closes', () => {
  it('for a consumer that is too slow takes back what was held, and nothing else', async () => {
    const consumerTimeout = (ms: number) =>
      `application:set_env(rabbit, consumer_timeout, ${ms}), application:set_env(rabbit, channel_tick_interval, 500).`
    await broker.run('eval', consumerTimeout(2_000))
    try {
      const adapter = adapterOf()
      const { lost } = await connected(adapter)
      const { queue } = await declare(adapter, fresh())
      await adapter.publish([outbound({ queue })], soon())
      const taken: unknown[] = []
      const receiver = await adapter.open(source({ queue }), (deliveries) => void taken.push(...deliveries))
      const held = await receiver.receive(1, soon(), 5_000)
      await until(() => taken.length === 1, 30_000)
      expect(taken[0]).toBe(held[0])
      expect(await receiver.ack(held)).toEqual(['lost'])
      await expect(receiver.receive(1, soon(), 1_000)).rejects.toBeDefined()
      expect(lost).toEqual([])
      const again = await adapter.open(source({ queue }), () => undefined)
      expect((await again.receive(1, soon(), 5_000))[0]?.id).toBe(held[0]?.id)
    } finally {
      await broker.run('eval', consumerTimeout(1_800_000))
    }
  }, 60_000)

  it('for a missing exchange fails that topic alone', async () => {
    const adapter = adapterOf()
    await connected(adapter)
    const [one, two] = [fresh('topic'), fresh('topic')]
    for (const topic of [one, two]) {
      await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      await adapter.publish([outbound({ topic })], soon())
    }
    const other = adapterOf()
    await connected(other)
    await other.remove({ topic: one })
    const [gone] = await adapter.publish([outbound({ topic: one })], soon())
    expect(gone?.ok === false && adapter.classify(gone.error).code).toBe('MQ_QUEUE_NOT_FOUND')
    expect(await adapter.publish([outbound({ topic: two })], soon())).toEqual([{ ok: true }])
  })
})

describe('a queue that somebody deletes and makes again at once', () => {
  it('goes on being consumed, although the server may tell its consumers nothing', async () => {
    const model = await connect(broker.url)
    const queue = new MessageQueue(rabbitmqAdapter({ url: broker.url }))
    const sender = new MessageQueue(rabbitmqAdapter({ url: broker.url }))
    queue.on('error', () => undefined)
    await Promise.all([queue.connect(), sender.connect()])
    try {
      const channel = await model.createChannel()
      const name = fresh()
      const handled: unknown[] = []
      await queue.consume(name, ({ body }) => void handled.push(body))
      for (let i = 1; i <= 5; i++) {
        await channel.deleteQueue(name)
        await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
        // The server confirms what arrives while it tells that a queue is gone, and drops it: so more than one is sent.
        await until(async () => {
          await sender.send(name, i)
          return handled.includes(i)
        }, 30_000)
      }
    } finally {
      await Promise.all([queue, sender].map((each) => each.disconnect({ timeoutMs: 5_000 })))
      await model.close()
    }
  }, 180_000)
})
