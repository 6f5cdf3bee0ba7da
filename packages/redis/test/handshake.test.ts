import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { redisAdapter, type RedisOptions } from '../src/index.ts'
import { scripts } from '../src/scripts/index.ts'

let broker: RunningBroker
let cluster: RunningBroker
const open: BrokerAdapter[] = []
const servers: { close(): void }[] = []

beforeAll(async () => {
  ;[broker, cluster] = await Promise.all([
    startBroker('redis', { fresh: true }),
    startBroker('redis', { fresh: true, extra: { 'cluster-enabled': 'yes' } }),
  ])
  await cluster.run('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await until(async () => (await cluster.run('CLUSTER', 'INFO')).includes('cluster_state:ok'))
}, 60_000)
afterEach(async () => {
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(2_000))))
  for (const server of servers.splice(0)) server.close()
}, 20_000)
afterAll(() => Promise.all([broker.stop(), cluster.stop()]), 30_000)

function adapterFor(options: RedisOptions): BrokerAdapter {
  const adapter = redisAdapter(options)
  open.push(adapter)
  return adapter
}

async function listening(accept: (client: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => client.destroy()).on('close', () => sockets.delete(client))
    accept(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push({
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  })
  return (server.address() as { port: number }).port
}

/** Accepts, and never answers. */
const still = (): Promise<number> => listening((client) => client.resume())

/** Answers what a client says first, and each SENTINEL question with the address of the server. */
function sentinelFor(url: string, hello = '+OK\r\n'): Promise<number> {
  const { hostname, port } = new URL(url)
  const master = `*2\r\n$${hostname.length}\r\n${hostname}\r\n$${port.length}\r\n${port}\r\n`
  return listening((client) =>
    client.on('data', (data) => {
      for (const command of String(data).split(/(?=\*\d+\r\n)/)) {
        const id = command.includes('\r\nCLIENT\r\n$2\r\nID\r\n')
        client.write(command.includes('\r\nSENTINEL\r\n') ? master : id ? ':7\r\n' : hello)
      }
    }),
  )
}

/** What a node of a cluster says of it: who is the master of which slots. */
function slots(...masters: readonly (readonly [number, number, number])[]): string {
  const each = masters.map(
    ([from, to, port]) => `*3\r\n:${from}\r\n:${to}\r\n*3\r\n$9\r\n127.0.0.1\r\n:${port}\r\n$1\r\nx\r\n`,
  )
  return `*${each.length}\r\n${each.join('')}`
}

/** A node of a cluster that has all scripts, and says OK to whatever it is asked but for its number and the cluster. */
async function nodeFor(
  cluster: (own: number) => string,
): Promise<{ port: number; asked(): number; close(): void }> {
  let asked = 0
  const known = ':1\r\n'.repeat(Object.keys(scripts).length)
  const port = await listening((client) =>
    client.on('data', (data) => {
      for (const command of String(data).split(/(?=\*\d+\r\n)/)) {
        asked++
        if (command.includes('\r\nCLUSTER\r\n')) client.write(cluster(port))
        else if (command.includes('\r\nEXISTS\r\n'))
          client.write(`*${Object.keys(scripts).length}\r\n${known}`)
        else client.write(command.includes('\r\nID\r\n') ? ':7\r\n' : '+OK\r\n')
      }
    }),
  )
  return { port, asked: () => asked, close: servers.at(-1)?.close ?? (() => undefined) }
}

/** In front of a server; after `fall` it leaves new connections without an answer, and goes on with those that there are. */
async function falling(url: string): Promise<{ port: number; fall(): void; waiting(): number }> {
  const { hostname, port } = new URL(url)
  const waiting = new Set<Socket>()
  let fallen = false
  const own = await listening((client) => {
    if (fallen) {
      waiting.add(client)
      client.resume().on('close', () => waiting.delete(client))
      return
    }
    const onward = connect(Number(port), hostname)
    const end = (): void => {
      client.destroy()
      onward.destroy()
    }
    onward.on('error', end).on('close', end).pipe(client)
    client.on('close', end).pipe(onward)
  })
  return { port: own, fall: () => void (fallen = true), waiting: () => waiting.size }
}

const at = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port })

describe('a sentinel that goes on naming a master that is gone', () => {
  it('leaves the first word to another one the next time', async () => {
    const nodes = [at(await sentinelFor('redis://127.0.0.1:1')), at(await sentinelFor(broker.url))]
    const adapter = adapterFor({ sentinel: { name: 'mq', nodes } })
    await expect(connected(adapter)).rejects.toThrow('ECONNREFUSED')
    await connected(adapter)
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
  }, 30_000)
})

describe('a node of a cluster that goes on naming a master that is gone', () => {
  it('as the first that is given, leaves the first word to another one the next time', async () => {
    const old = await nodeFor(() => slots([0, 16_383, 1]))
    const adapter = adapterFor({ cluster: [at(old.port), at(Number(new URL(cluster.url).port))] })
    await expect(connected(adapter)).rejects.toThrow('ECONNREFUSED')
    await connected(adapter)
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
  }, 30_000)

  it('is not the only one that is asked for its successor', async () => {
    let liar: number | null = null
    let replaced = false
    const said = (own: number): string => {
      if (replaced) liar ??= own
      const last = replaced && own !== liar ? next : gone
      return slots([0, 5_000, one.port], [5_001, 10_000, two.port], [10_001, 16_383, last.port])
    }
    const [one, two] = [await nodeFor(said), await nodeFor(said)]
    const [gone, next] = [await nodeFor(said), await nodeFor(said)]
    const adapter = adapterFor({ cluster: [at(one.port)] })
    await connected(adapter)
    replaced = true
    gone.close()
    await until(() => next.asked() > 0)
    expect(liar).not.toBeNull()
  }, 30_000)
})

describe('a server that accepts connections and says nothing', () => {
  it('as the first sentinel, leaves time for the next', async () => {
    const nodes = [at(await still()), at(await sentinelFor(broker.url))]
    const adapter = adapterFor({ sentinel: { name: 'mq', nodes }, connectTimeoutMs: 9_000 })
    await connected(adapter)
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
  }, 30_000)

  it('as the first node of a cluster, leaves time for the next', async () => {
    const nodes = [at(await still()), at(Number(new URL(cluster.url).port))]
    const adapter = adapterFor({ cluster: nodes, connectTimeoutMs: 9_000 })
    await connected(adapter)
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
  }, 30_000)

  it('does not hide that the credentials are wrong', async () => {
    const wrong = '-WRONGPASS invalid username-password pair or user is disabled.\r\n'
    const nodes = [at(await sentinelFor(broker.url, wrong)), at(await still())]
    const adapter = adapterFor({ sentinel: { name: 'mq', nodes, username: 'u', password: 'p' } })
    const error = await connected(adapter).catch((e: unknown) => e)
    expect(adapter.classify(error)).toEqual({ code: 'MQ_AUTHENTICATION', retryable: false })
    const seeds = [at(Number(new URL(cluster.url).port)), at(await still())]
    const second = adapterFor({ cluster: seeds, username: 'nobody', password: 'wrong' })
    const refused = await connected(second).catch((e: unknown) => e)
    expect(second.classify(refused).code).toBe('MQ_AUTHENTICATION')
  }, 30_000)

  it('names a password that nobody asked for', async () => {
    const adapter = adapterFor({ port: Number(new URL(broker.url).port), password: 'nobody-asked' })
    const error = await connected(adapter).catch((e: unknown) => e)
    expect(adapter.classify(error)).toEqual({ code: 'MQ_AUTHENTICATION', retryable: false })
  }, 30_000)

  it('does not hold up a receive that is aborted, alone and in a cluster', async () => {
    for (const server of [broker, cluster]) {
      const way = await falling(server.url)
      if (server === cluster) await server.run('CONFIG', 'SET', 'cluster-announce-port', String(way.port))
      const adapter = adapterFor(server === cluster ? { cluster: [at(way.port)] } : { port: way.port })
      await connected(adapter)
      const receiver = await adapter.open(source(await declare(adapter, fresh())), () => undefined)
      way.fall()
      const abort = new AbortController()
      const receiving = receiver.receive(1, abort.signal, 60_000)
      await until(() => way.waiting() > 0)
      const since = performance.now()
      abort.abort()
      expect(await receiving).toEqual([])
      expect(performance.now() - since).toBeLessThan(1_500)
      await until(() => way.waiting() === 0)
    }
    await cluster.run('CONFIG', 'SET', 'cluster-announce-port', '0')
  }, 60_000)

  it('keeps no socket of a connection that was ended meanwhile', async () => {
    const way = await falling(broker.url)
    const adapter = adapterFor({ port: way.port })
    await connected(adapter)
    const receiver = await adapter.open(source(await declare(adapter, fresh())), () => undefined)
    way.fall()
    const receiving = receiver.receive(1, live, 60_000).catch(() => [])
    await until(() => way.waiting() > 0)
    await adapter.disconnect(AbortSignal.timeout(300))
    await until(() => way.waiting() === 0)
    expect(await receiving).toEqual([])
  }, 60_000)
})
