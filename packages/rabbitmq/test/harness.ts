import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FaultProxy, faultProxy, startBroker, type StartOptions } from '@mq/brokers'
import type { Harness, Link } from '@mq/conformance'
import { rabbitmqAdapter, type RabbitmqOptions } from '../src/index.ts'

/** A real server of its own, which may be killed, filled and cut off. `name`: as the results call it. */
export async function makeHarness(
  name: string,
  options: StartOptions = {},
): Promise<{ harness: Harness; stop: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'mq-rabbitmq-'))
  const broker = await startBroker('rabbitmq', { fresh: true, dataDir: folder, ...options })
  moveAgainSoon(folder, 0)
  const { url } = broker
  const proxies = new Set<FaultProxy>()
  const harness: Harness = {
    broker: name,
    createAdapter: () => rabbitmqAdapter({ url }),
    faults: {
      restartBroker: () => broker.restart(),
      link: () => link(url, proxies),
      async fill() {
        await broker.run('set_vm_memory_high_watermark', 'absolute', '1MB')
        return async () => void (await broker.run('set_vm_memory_high_watermark', '0.4'))
      },
      badCredentials: () => rabbitmqAdapter({ url, username: 'nobody', password: 'wrong' }),
      wrongHost: () => rabbitmqAdapter({ host: '127.0.0.1', port: 1 }),
    },
    process: childProcess({ url }),
    patienceMs: 30_000,
  }
  return {
    harness,
    async stop() {
      // Some heal while they are closed, and then listen again.
      await Promise.all([...proxies].map((proxy) => proxy.close()))
      await broker.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/**
 * Read when the server starts again: what became due while it was down is moved as soon as it is up, and among hundreds of queues that is before the queue
 * that takes it. The server tries again after this time, by default three minutes.
 */
export function moveAgainSoon(folder: string, node: number): void {
  writeFileSync(
    join(folder, `node-${node}`, 'advanced.config'),
    '[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 2000}]}].\n',
  )
}

/** How the suite's own processes reach the same servers. */
export function childProcess(options: RabbitmqOptions): NonNullable<Harness['process']> {
  return {
    module: new URL('./child-adapter.ts', import.meta.url),
    shared: true,
    env: { MQ_TEST_RABBITMQ: JSON.stringify(options) },
  }
}

async function link(url: string, proxies: Set<FaultProxy>): Promise<Link> {
  const { hostname, port } = new URL(url)
  const proxy = await faultProxy({ host: hostname, port: Number(port) })
  proxies.add(proxy)
  return {
    adapter: rabbitmqAdapter({ host: proxy.host, port: proxy.port, heartbeat: 10, rpcTimeoutMs: 10_000 }),
    cut: () => proxy.cut(),
    setDown: (down) => {
      if (!down) return proxy.heal()
      proxy.refuse()
      proxy.cut()
    },
    setBlackHole: (on) => (on ? proxy.blackHole() : proxy.heal()),
    setDelay: (ms) => (ms === 0 ? proxy.heal() : proxy.delay(ms)),
    close: () => proxy.close(),
  }
}
