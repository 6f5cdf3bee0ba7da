import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
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

const OPEN_OK = Buffer.from([0, 10, 0, 41])

/** Connection.Close on channel 0: 320, without a text. */
const CLOSE = Buffer.from([1, 0, 0, 0, 0, 0, 11, 0, 10, 0, 50, 1, 64, 0, 0, 0, 0, 0, 0xce])

/** Between client and broker: `finish` is given the bytes that open the consuming side; those that open administration are held back until that is closed. */
async function endingEarly(finish: (client: Socket, opening: Buffer) => void) {
  let consumingEnded = (): void => undefined
  const consuming = new Promise<void>((resolve) => (consumingEnded = resolve))
  const server = createServer((client) => {
    const upstream = connect(real.port, real.host)
    let role: string | undefined
    client.on('data', (chunk: Buffer) => {
      role ??= /:(publish|consume|admin) /.exec(chunk.toString('latin1'))?.[1]
      upstream.write(chunk)
    })
    upstream.on('data', (chunk: Buffer) => {
      const opens = chunk.includes(OPEN_OK)
      if (opens && role === 'consume') finish(client, chunk)
      else if (opens && role === 'admin') void consuming.then(() => client.write(chunk))
      else client.write(chunk)
    })
    client.on('error', () => undefined)
    upstream.on('error', () => undefined)
    upstream.on('close', () => client.destroy())
    client.on('close', () => {
      upstream.destroy()
      if (role === 'consume') consumingEnded()
    })
  })
  closing.unshift(() => new Promise((resolve) => server.close(resolve)))
  return listen(server)
}

describe('a socket that ends while others of its connection are being opened', () => {
  it.each([
    ['without a word', (client: Socket, opening: Buffer) => client.end(opening), 'Unexpected close'],
    [
      'in the same breath as it was opened',
      (client: Socket, opening: Buffer) => client.write(Buffer.concat([opening, CLOSE])),
      'the connection was closed',
    ],
  ])(
    '%s is the end of all',
    async (_, finish, says) => {
      const { host, port } = await endingEarly(finish)
      const { message, code, retryable } = await refusal(adapterOf({ hosts: [{ host, port }] }))
      expect([message, code, retryable]).toEqual([says, 'MQ_CONNECTION', true])
    },
    30_000,
  )
})
