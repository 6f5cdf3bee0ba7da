import { randomUUID } from 'node:crypto'
import { Connection, type Consumer } from 'rabbitmq-client'
import rascal, { type BrokerConfig, type RascalBroker } from 'rascal'
import { body } from './bodies.ts'
import { QUORUM } from './rabbitmq-bare.ts'
import type { Side } from './side.ts'

type Reading = ReturnType<typeof body>

export function rabbitmqClientSide(url: string): Side {
  return {
    name: 'rabbitmq-client',
    async open(bytes) {
      const connection = new Connection(url)
      const queue = `client-${randomUUID()}`
      await connection.queueDeclare({ queue, durable: true, arguments: QUORUM })
      const publisher = connection.createPublisher({ confirm: true })
      const publish = (i: number) =>
        publisher.send(
          { routingKey: queue, durable: true, mandatory: true, messageId: randomUUID() },
          body(i, bytes),
        )
      let consumer: Consumer | undefined
      return {
        publish,
        publishBatch: (from, count) =>
          Promise.all(Array.from({ length: count }, (_, n) => publish(from + n))),
        async consume(arrived, { concurrency, prefetch }) {
          const made = connection.createConsumer(
            { queue, queueOptions: { passive: true }, concurrency, qos: { prefetchCount: prefetch } },
            async (message) => arrived((message.body as Reading).i),
          )
          consumer = made
          await new Promise<void>((resolve, reject) => {
            made.once('ready', resolve)
            made.once('error', reject)
          })
        },
        async close() {
          await consumer?.close()
          await publisher.close()
          await connection.queueDelete(queue)
          await connection.close()
        },
      }
    },
  }
}

/** One message of rascal's is under way on a channel at a time, so it gets as many channels as messages are in flight. */
const RASCAL_CHANNELS = 100

export function rascalSide(url: string): Side {
  return {
    name: 'rascal',
    async open(bytes) {
      const queue = `rascal-${randomUUID()}`
      const config = (prefetch: number): BrokerConfig => ({
        vhosts: {
          '/': {
            connection: { url, socketOptions: { noDelay: true }, options: { channelMax: 500 } },
            publicationChannelPools: { confirmPool: { max: RASCAL_CHANNELS, min: 1, testOnBorrow: false } },
            queues: { [queue]: { options: { durable: true, arguments: QUORUM } } },
            publications: {
              out: { queue, confirm: true, options: { persistent: true, mandatory: true } },
            },
            subscriptions: { in: { queue, prefetch } },
          },
        },
      })
      const make = async (prefetch: number): Promise<RascalBroker> => {
        const broker = await rascal.createBrokerAsPromised(rascal.withDefaultConfig(config(prefetch)))
        broker.on('error', (error) => console.error(error))
        return broker
      }
      const broker = await make(1)
      let receiving: RascalBroker | undefined
      const publish = async (i: number): Promise<void> => {
        const publication = await broker.publish('out', body(i, bytes))
        await new Promise<void>((resolve, reject) => {
          publication.on('success', () => resolve())
          publication.on('error', reject)
          publication.on('return', () => reject(new Error('no such queue')))
        })
      }
      return {
        publish,
        publishBatch: (from, count) =>
          Promise.all(Array.from({ length: count }, (_, n) => publish(from + n))),
        async consume(arrived, { concurrency, prefetch }) {
          // Rascal has no concurrency besides its prefetch.
          receiving = await make(Math.min(concurrency, prefetch))
          const subscription = await receiving.subscribe('in')
          const handler = async (value: Reading): Promise<void> => arrived(value.i)
          subscription.on('message', (_message, content, acknowledge) => {
            handler(content as Reading).then(
              () => acknowledge(),
              (error: unknown) => acknowledge(error as Error),
            )
          })
          subscription.on('error', (error) => console.error(error))
        },
        async close() {
          await receiving?.shutdown()
          await broker.shutdown()
          const connection = new Connection(url)
          await connection.queueDelete(queue)
          await connection.close()
        },
      }
    },
  }
}
