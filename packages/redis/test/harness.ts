import { connect } from 'node:net'
import { faultProxy, startBroker, type StartOptions } from '@mq/brokers'
import type { Harness, Link } from '@mq/conformance'
import { until } from '@mq/conformance/fixtures'
import { redisAdapter, type RedisOptions } from '../src/index.ts'

/** A real server of its own, which may be killed, filled and cut off. `name`: as the results call it. */
export async function makeHarness(
  name: string,
  options: StartOptions = {},
): Promise<{ harness: Harness; stop: () => Promise<void> }> {
  // With everysec a kill may take confirmed messages.
  const broker = await startBroker('redis', { fresh: true, appendfsync: 'always', ...options })
  const harness: Harness = {
    broker: name,
    createAdapter: () => redisAdapter({ url: broker.url }),
    faults: {
      restartBroker: () => broker.restart(),
      link: () => link(broker.url),
      async fill() {
        await broker.run('CONFIG', 'SET', 'maxmemory', '1')
        return async () => void (await broker.run('CONFIG', 'SET', 'maxmemory', '0'))
      },
      badCredentials: () => redisAdapter({ url: broker.url, username: 'nobody', password: 'wrong' }),
      wrongHost: () => redisAdapter({ host: '127.0.0.1', port: 1 }),
    },
    process: childProcess({ url: broker.url }),
    patienceMs: 30_000,
  }
  return { harness, stop: () => broker.stop() }
}

/** How the suite's own processes reach the same servers. */
export function childProcess(options: RedisOptions): NonNullable<Harness['process']> {
  return {
    module: new URL('./child-adapter.ts', import.meta.url),
    shared: true,
    env: { MQ_TEST_REDIS: JSON.stringify(options) },
  }
}

/** A way to the server that can be cut, slowed and silenced. */
async function link(url: string): Promise<Link> {
  const { hostname, port } = new URL(url)
  const proxy = await faultProxy({ host: hostname, port: Number(port) })
  let disturbed = false
  const disturb = async (on: boolean, how: () => void): Promise<void> => {
    if (on) how()
    else if (disturbed) {
      proxy.heal()
      // A proxy that is closed before it listens again would stay open.
      await until(() => answers(proxy.port))
    }
    disturbed = on
  }
  return {
    adapter: redisAdapter({ host: proxy.host, port: proxy.port, commandTimeoutMs: 10_000 }),
    cut: () => proxy.cut(),
    setDown: (down) =>
      disturb(down, () => {
        proxy.refuse()
        proxy.cut()
      }),
    setBlackHole: (on) => disturb(on, () => proxy.blackHole()),
    setDelay: (ms) => disturb(ms > 0, () => proxy.delay(ms)),
    async close() {
      // Sockets that are still ending cannot be reset: they would stay open.
      await until(() => proxy.connections() === 0, 1_000).catch(() => undefined)
      await proxy.close()
    },
  }
}

function answers(at: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: at })
    const done = (ok: boolean): void => {
      socket.destroy()
      resolve(ok)
    }
    socket.once('connect', () => done(true)).once('error', () => done(false))
  })
}
