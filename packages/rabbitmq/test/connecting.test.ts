import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, live, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

let broker: RunningBroker
let real: { host: string; port: number }
const closing: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  broker = await startBroker('rabbitmq')
  const { hostname, port } = new URL(broker.url)
  real = { host: hostname, port: Number(port) }
}, 120_000)
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})
afterAll(() => broker.stop(), 60_000)

async function listen(server: Server): Promise<{ host: string; port: number }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

/** Takes connections and never says anything. */
async function silent() {
  const sockets = new Set<Socket>()
  let taken = 0
  const server = createServer((socket) => {
    taken++
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.resume()
  })
  const address = await listen(server)
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    address,
    get taken() {
      return taken
    },
    get open() {
      return sockets.size
    },
  }
}

/** A port at which nobody listens. */
async function refusing(): Promise<{ host: string; port: number }> {
  const server = createServer()
  const address = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return address
}

function adapterOf(options: RabbitmqOptions): BrokerAdapter {
  const adapter = rabbitmqAdapter({ url: broker.url, ...options })
  closing.push(() => adapter.disconnect(AbortSignal.timeout(2_000)))
  return adapter
}

async function refusal(adapter: BrokerAdapter) {
  const error: unknown = await connected(adapter).then(
    () => null,
    (reason: unknown) => reason,
  )
  return { message: (error as Error).message, ...adapter.classify(error) }
}

describe('of several hosts', () => {
  it('one that never answers does not keep the others from being tried', async () => {
    const [one, two] = [await silent(), await silent()]
    const adapter = adapterOf({ hosts: [one.address, two.address, real], connectTimeoutMs: 10_000 })
    const { lost } = await connected(adapter)
    await adapter.ping(live)
    expect([one.taken > 0, two.taken > 0]).toEqual([true, true])
    await until(() => one.open + two.open === 0)
    await adapter.ping(live)
    expect(lost).toEqual([])
  }, 30_000)

  it('one that refuses the password says so, while another never answers', async () => {
    const one = await silent()
    const options = { password: 'wrong', connectTimeoutMs: 600_000 }
    for (const hosts of [
      [one.address, real],
      [real, one.address],
    ]) {
      const { code, retryable } = await refusal(adapterOf({ hosts, ...options }))
      expect([code, retryable]).toEqual(['MQ_AUTHENTICATION', false])
      await until(() => one.open === 0)
    }
  }, 30_000)

  it('each says why, when there is none to connect to', async () => {
    const [one, two] = [await silent(), await refusing()]
    const { message, code, retryable } = await refusal(
      adapterOf({ hosts: [two, one.address, two], connectTimeoutMs: 1_500 }),
    )
    expect([code, retryable]).toEqual(['MQ_CONNECTION', true])
    expect(message).toContain(`127.0.0.1:${two.port} (connect ECONNREFUSED`)
    expect(message).toMatch(new RegExp(`127.0.0.1:${one.address.port} \\(.*(1500 ms|ETIMEDOUT)`))
    await until(() => one.open === 0)
  }, 30_000)
})
