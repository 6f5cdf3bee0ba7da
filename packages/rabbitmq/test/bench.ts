import { afterAll, beforeAll } from '@jest/globals'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { connected } from '@mq/conformance/fixtures'
import type { BrokerAdapter } from '@mq/core/adapter'
import { connect, type Channel, type ChannelModel } from 'amqplib'
import { rabbitmqAdapter } from '../src/index.ts'

/** For the tests of a file that imports any of these: a server of its own, an adapter connected to it, and somebody else's client with a channel. */
export let broker: RunningBroker
export let adapter: BrokerAdapter
export let foreign: ChannelModel
export let channel: Channel

beforeAll(async () => {
  broker = await startBroker('rabbitmq', { fresh: true })
  adapter = rabbitmqAdapter({ url: broker.url })
  await connected(adapter)
  foreign = await connect(broker.url)
  channel = await foreign.createChannel()
}, 120_000)

afterAll(async () => {
  await adapter.disconnect(AbortSignal.timeout(5_000))
  await foreign.close()
  await broker.stop()
}, 60_000)
