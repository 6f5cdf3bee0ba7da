import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected, declare, fresh, live, outbound, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { createAcks } from '../src/acks.ts'
import { redisAdapter, type RedisOptions } from '../src/index.ts'
import type { Link, Reply } from '../src/link.ts'
import { parseOptions } from '../src/options.ts'

let master: RunningBroker
let replica: RunningBroker
const open: BrokerAdapter[] = []

beforeAll(async () => {
  const extra = { 'repl-diskless-sync-delay': '0' }
  ;[master, replica] = await Promise.all([
    startBroker('redis', { fresh: true, extra }),
    startBroker('redis', { fresh: true }),
  ])
}, 60_000)
afterEach(async () => {
  await Promise.all(open.splice(0).map((adapter) => adapter.disconnect(AbortSignal.timeout(3_000))))
  await replica.run('REPLICAOF', 'NO', 'ONE')
  await until(async () => (await master.run('INFO', 'replication')).includes('connected_slaves:0'))
}, 20_000)
afterAll(() => Promise.all([master.stop(), replica.stop()]), 30_000)

async function saidBy(options: RedisOptions): Promise<{ adapter: BrokerAdapter; said: string[] }> {
  const said: string[] = []
  const quiet = (): void => undefined
  const say = (_: object, text: string): void => void said.push(text)
  const adapter = redisAdapter({ ...options, logger: { debug: quiet, info: say, error: quiet, warn: say } })
  open.push(adapter)
  await connected(adapter)
  return { adapter, said }
}

async function follow(): Promise<void> {
  const { hostname, port } = new URL(master.url)
  await replica.run('REPLICAOF', hostname, port)
  await until(async () => (await master.run('INFO', 'replication')).includes('state=online'), 20_000)
}

const waits = async (): Promise<number> =>
  Number(/cmdstat_wait:calls=(\d+)/.exec(await master.run('INFO', 'commandstats'))?.[1] ?? 0)

describe('acks all', () => {
  it('waits for a replica that comes later, and says once that there is none', async () => {
    const { adapter, said } = await saidBy({ url: master.url })
    const queue = await declare(adapter, fresh())
    const before = await waits()
    expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
    expect(await waits()).toBe(before)
    // Longer than it takes to look again.
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    expect(said.filter((text) => text.includes('no replica'))).toHaveLength(1)
    await follow()
    await until(async () => {
      expect(await adapter.publish([outbound(queue)], live)).toEqual([{ ok: true }])
      return (await waits()) > before
    }, 20_000)
  }, 60_000)

  it('waits for none once the last one is gone, and says so', async () => {
    await follow()
    const { adapter, said } = await saidBy({ url: master.url, replicaTimeoutMs: 200 })
    const queue = await declare(adapter, fresh())
    const message = outbound(queue)
    await replica.run('REPLICAOF', 'NO', 'ONE')
    await until(async () => (await master.run('INFO', 'replication')).includes('connected_slaves:0'))
    const [first] = await adapter.publish([message], live)
    expect(first).toMatchObject({ ok: false, certainty: 'unknown' })
    expect(said.filter((text) => text.includes('no replica'))).toHaveLength(1)
    const before = await waits()
    expect(await adapter.publish([message], live)).toEqual([{ ok: true }])
    expect(await waits()).toBe(before)
    expect(await adapter.size(queue)).toBe(1)
  }, 60_000)

  it('waits for one that is there from the beginning', async () => {
    await follow()
    const { adapter, said } = await saidBy({ url: master.url })
    const before = await waits()
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
    expect(await waits()).toBeGreaterThan(before)
    expect(said.filter((text) => text.includes('no replica'))).toEqual([])
  }, 60_000)
})

describe('a replica', () => {
  const address = { host: 'h', port: 1 }
  const linkTo = (answer: (command: string) => Reply): Link =>
    ({
      address,
      dead: false,
      send: async ([command]: string[]) => answer(String(command)),
    }) as unknown as Link
  const infoOf = (...states: string[]): string =>
    `# Replication\r\nrole:master\r\nconnected_slaves:${states.length}\r\n` +
    states.map((state, i) => `slave${i}:ip=h,port=${i},state=${state},offset=1,lag=0\r\n`).join('')

  it('that is still being given the data is waited for by nobody', async () => {
    const server = linkTo(() => infoOf('wait_bgsave', 'send_bulk'))
    const acks = await createAcks({
      options: parseOptions({}),
      server,
      open: () => Promise.reject(new Error()),
    })
    expect(acks.confirm).toBeNull()
    acks.stop()
  })

  it('that confirmed nothing in time is asked again, unless it is gone', async () => {
    let states = ['online']
    const server = linkTo(() => infoOf(...states))
    const asked = linkTo((command) => (command === 'WAIT' ? 0 : 'OK'))
    const acks = await createAcks({ options: parseOptions({}), server, open: () => Promise.resolve(asked) })
    const slow = acks.confirm
    await expect(slow?.('k')).rejects.toMatchObject({ code: 'MQ_TIMEOUT', retryable: true })
    expect(acks.confirm).toBe(slow)
    states = []
    await expect(slow?.('k')).rejects.toMatchObject({ code: 'MQ_TIMEOUT' })
    expect(acks.confirm).toBeNull()
    states = ['online']
    await until(() => acks.confirm !== null, 20_000)
    acks.stop()
  }, 30_000)
})

describe('acks master', () => {
  it('warns of nothing, and waits for nobody', async () => {
    const { adapter, said } = await saidBy({ url: master.url, acks: 'master' })
    await follow()
    const before = await waits()
    expect(await adapter.publish([outbound(await declare(adapter, fresh()))], live)).toEqual([{ ok: true }])
    expect(await waits()).toBe(before)
    expect(said.filter((text) => text.includes('no replica'))).toEqual([])
  }, 60_000)
})
