import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { faultProxy, startBroker, type FaultProxy, type RunningBroker } from '@mq/brokers'
import { networkFaults } from '@mq/conformance'
import { kafkaAdapter } from '../src/index.ts'
import { testOptions } from './harness.ts'

let broker: RunningBroker
let proxy: FaultProxy
const portOf = (address = ''): number => Number(address.split(':')[1])

beforeAll(async () => {
  broker = await startBroker('kafka', { fresh: true, proxied: true })
  const { proxiedUrl, proxyUrl } = broker.details
  proxy = await faultProxy({ host: '127.0.0.1', port: portOf(proxiedUrl) }, { port: portOf(proxyUrl) })
}, 120_000)
afterAll(async () => {
  await proxy.close()
  await broker.stop()
}, 60_000)

networkFaults(
  { describe, it },
  {
    createAdapter: () =>
      kafkaAdapter(
        testOptions(`${proxy.host}:${proxy.port}`, { requestTimeoutMs: 2_000, lostAfterMs: 2_000 }),
      ),
    network: () => proxy,
  },
)
