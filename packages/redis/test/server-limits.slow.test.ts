import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { faultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []
const queues: MessageQueue[] = []

beforeEach(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.disconnect()))
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
  await broker.stop()
}, 30_000)

function adapterFor(): BrokerAdapter {
  const adapter = redisAdapter({ url: broker.url })
  open.push(adapter)
  return adapter
}

const redis = (...args: string[]): Promise<string> => broker.run(...args)

/** The server's numbers of our connections. */
async function clients(): Promise<number[]> {
  return (await redis('CLIENT', 'LIST'))
    .split('\n')
    .filter((line) => line.includes(' name=mq '))
    .map((line) => Number(/id=(\d+)/.exec(line)?.[1]))
}

describe('a server that closes idle connections (timeout 1)', () => {
  it('keeps those of an adapter that has nothing to say', async () => {
    await redis('CONFIG', 'SET', 'timeout', '1')
    const adapter = adapterFor()
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh())
    // A socket for waiting reads, which is given back and rests as well.
    const receiver = await adapter.open(source(queue), () => undefined)
    await receiver.receive(1, live, 50)
    await receiver.close(live)
    const before = await clients()
    expect(before.length).toBeGreaterThan(1)
    // One that says nothing shows that the server closes such connections: ours have been idle for as long.
    const idle = await silent()
    await idle.closed
    expect(await clients()).toEqual(before)
    expect(events.lost).toEqual([])
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
  }, 30_000)

  it('which it does later than it said when it was connected to, costs a reconnection and nothing else', async () => {
    const queue = new MessageQueue(redisAdapter({ url: broker.url }))
    queues.push(queue)
    await queue.connect()
    const name = fresh()
    await queue.createQueue({ name })
    const lost = new Promise((resolve) => queue.once('disconnected', resolve))
    await redis('CONFIG', 'SET', 'timeout', '1')
    const back = new Promise<void>((resolve) => queue.once('connected', resolve))
    await lost
    await back
    const got: unknown[] = []
    await queue.consume(name, ({ body }) => void got.push(body))
    await Promise.all([1, 2, 3].map((n) => queue.send(name, n)))
    await until(() => got.length === 3)
  }, 30_000)
})

describe('a server that limits what it holds for a client (client-output-buffer-limit)', () => {
  it('cuts a consumer off, who gets everything once the limit allows it, uncounted', async () => {
    const queue = new MessageQueue(redisAdapter({ url: broker.url }), {
      consumer: { sessionTimeoutMs: 1_000, heartbeatIntervalMs: 250 },
    })
    queues.push(queue)
    queue.on('error', () => undefined)
    await queue.connect()
    const name = fresh()
    // One answer holds all of it, and is larger than what a socket takes at once.
    const text = 'x'.repeat(200_000)
    await Promise.all(Array.from({ length: 100 }, (_, i) => queue.send(name, { i, text })))
    await redis('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 1mb 0 0')
    const cut = new Promise((resolve) => queue.once('disconnected', resolve))
    const counts = new Map<number, number>()
    await queue.consume(
      name,
      ({ body, deliveryCount }) => void counts.set((body as { i: number }).i, deliveryCount),
      { prefetch: 100 },
    )
    await cut
    await redis('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0')
    await until(() => counts.size === 100, 20_000)
    expect(new Set(counts.values())).toEqual(new Set([0]))
    await until(async () => (await queue.getQueueSize(name)) === 0)
  }, 60_000)
})

describe('after a queue was deleted', () => {
  it('only the marks of other publishers are left, and those expire', async () => {
    const [adapter, other] = [adapterFor(), adapterFor()]
    await Promise.all([connected(adapter), connected(other)])
    const queue = await declare(adapter, fresh())
    await Promise.all([adapter, other].map((each) => each.publish([outbound(queue)], live)))
    await adapter.remove(queue)
    const left = (await redis('KEYS', `*${queue.queue}*`)).split('\n').filter((key) => key !== '')
    expect(left).toEqual([expect.stringContaining(':tk:')])
    expect(Number(await redis('PTTL', left[0] as string))).toBeGreaterThan(0)
  }, 20_000)

  it('and made again, those marks do not stand in the way of new messages', async () => {
    const [adapter, other] = [adapterFor(), adapterFor()]
    await Promise.all([connected(adapter), connected(other)])
    const queue = await declare(adapter, fresh())
    await other.publish([outbound(queue)], live)
    await adapter.remove(queue)
    await declare(adapter, queue.queue)
    expect(await other.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    expect(await adapter.size(queue)).toBe(2)
  }, 20_000)

  it('and made again, a repetition of what was stored before is not stored again', async () => {
    const { hostname, port } = new URL(broker.url)
    const proxy = await faultProxy({ host: hostname, port: Number(port) })
    const sender = redisAdapter({ host: proxy.host, port: proxy.port, commandTimeoutMs: 500 })
    open.push(sender)
    try {
      const adapter = adapterFor()
      const events = await connected(sender)
      await connected(adapter)
      const queue = await declare(adapter, fresh())
      const sent = outbound(queue)
      // It arrives, and its answer does not.
      proxy.blackHole('down')
      const [outcome] = await sender.publish([sent], live)
      expect(outcome).toMatchObject({ ok: false, certainty: 'unknown' })
      await events.gone
      expect(await adapter.size(queue)).toBe(1)
      await adapter.remove(queue)
      await declare(adapter, queue.queue)
      proxy.heal()
      await until(() =>
        connected(sender).then(
          () => true,
          () => false,
        ),
      )
      expect(await sender.publish([sent], live)).toEqual([{ ok: true }])
      expect(await adapter.size(queue)).toBe(0)
    } finally {
      await sender.disconnect(AbortSignal.timeout(2_000))
      await proxy.close()
    }
  }, 20_000)
})

/** A connection that says nothing. */
async function silent(): Promise<{ closed: Promise<unknown> }> {
  const { connect } = await import('node:net')
  const { hostname, port } = new URL(broker.url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => undefined)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve))
  return { closed }
}
