import { createServer, connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { faultProxy, startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { RedisClient } from 'redis'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

let broker: RunningBroker
const open: BrokerAdapter[] = []

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
}, 60_000)
afterEach(async () => {
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
}, 20_000)
afterAll(() => broker.stop(), 30_000)

function adapterFor(options: RedisOptions): BrokerAdapter {
  const adapter = redisAdapter(options)
  open.push(adapter)
  return adapter
}

/** In front of the server; once armed, it hangs up on the next connection when that asks for its number. */
async function spoiler(): Promise<{ port: number; arm(): void; close(): void }> {
  const { hostname, port } = new URL(broker.url)
  let armed = false
  const server = createServer((client) => {
    const onward = connect(Number(port), hostname)
    const end = (): void => {
      client.destroy()
      onward.destroy()
    }
    client.on('error', end).on('close', end)
    onward.on('error', end).on('close', end)
    onward.on('data', (data) => client.write(data))
    client.on('data', (data) => {
      if (!armed || !data.includes('CLIENT\r\n$2\r\nID')) return void onward.write(data)
      armed = false
      end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    arm: () => void (armed = true),
    close: () => void server.close(),
  }
}

describe('a socket', () => {
  it('that is lost while it is being opened is no use to anybody', async () => {
    const server = await spoiler()
    const adapter = adapterFor({ port: server.port })
    await connected(adapter)
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    server.arm()
    await expect(receiver.receive(1, live, 200)).rejects.toThrow()
    expect(await receiver.receive(1, live, 200)).toEqual([])
    await adapter.publish([outbound(queue)], live)
    expect(await receiver.receive(1, live, 2_000)).toHaveLength(1)
    server.close()
  }, 60_000)

  it('whose answer came while the process was computing is not taken for dead', async () => {
    const adapter = adapterFor({ url: broker.url, commandTimeoutMs: 1_000 })
    const events = await connected(adapter)
    const queue = await declare(adapter, fresh())
    const receiver = await adapter.open(source(queue), () => undefined)
    await adapter.publish([outbound(queue)], live)
    const held = await receiver.receive(1, live)
    const waiting = receiver.receive(1, live, 500)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await adapter.ping(live)
    // In what follows an answer: time-outs are looked at before sockets then.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000)
    expect(await receiver.ack(held)).toEqual(['settled'])
    expect(await waiting).toEqual([])
    expect(events.lost).toEqual([])
  }, 60_000)

  it('costs no class of its own, whatever its address', async () => {
    const classes = jest.spyOn(RedisClient, 'factory')
    const proxy = await faultProxy({
      host: new URL(broker.url).hostname,
      port: Number(new URL(broker.url).port),
    })
    for (const options of [{ url: broker.url }, { host: proxy.host, port: proxy.port }])
      await connected(adapterFor(options))
    expect(classes).not.toHaveBeenCalled()
    classes.mockRestore()
    await proxy.close()
  }, 60_000)
})

describe('a disconnect', () => {
  it('settles when it is aborted, also with an exclusive queue to delete at a server that is gone', async () => {
    const { hostname, port } = new URL(broker.url)
    const proxy = await faultProxy({ host: hostname, port: Number(port) })
    // By itself it would give up much later.
    const adapter = redisAdapter({ host: proxy.host, port: proxy.port, commandTimeoutMs: 60_000 })
    try {
      await connected(adapter)
      await declare(adapter, fresh(), { exclusive: true })
      proxy.blackHole()
      const since = performance.now()
      await adapter.disconnect(AbortSignal.timeout(300))
      expect(performance.now() - since).toBeLessThan(15_000)
    } finally {
      await proxy.close()
    }
  }, 60_000)
})
