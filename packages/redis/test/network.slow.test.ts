import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { faultProxy, startBroker, type FaultProxy, type RunningBroker } from '@mq/brokers'
import { networkFaults } from '@mq/conformance'
import { redisAdapter } from '../src/index.ts'

let broker: RunningBroker
let proxy: FaultProxy

beforeAll(async () => {
  broker = await startBroker('redis', { fresh: true })
  const { hostname, port } = new URL(broker.url)
  proxy = await faultProxy({ host: hostname, port: Number(port) })
}, 120_000)
afterAll(async () => {
  await proxy.close()
  await broker.stop()
}, 60_000)

networkFaults(
  { describe, it },
  {
    createAdapter: () => {
      const { host, port } = proxy
      return redisAdapter({ host, port, commandTimeoutMs: 1_000 })
    },
    network: () => proxy,
    reconnections: 500,
  },
)
