import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { faultProxy, startBroker, type FaultProxy, type RunningBroker } from '@mq/brokers'
import { networkFaults } from '@mq/conformance'
import { rabbitmqAdapter } from '../src/index.ts'

let broker: RunningBroker
let proxy: FaultProxy

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
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
      return rabbitmqAdapter({ host, port, heartbeat: 1, rpcTimeoutMs: 5_000 })
    },
    network: () => proxy,
  },
)
