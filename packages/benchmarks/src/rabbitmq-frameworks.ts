import {
  AbstractAmqpQueueConsumer,
  AbstractAmqpQueuePublisher,
  AmqpConnectionManager,
  type AMQPConsumerDependencies,
} from '@message-queue-toolkit/amqp'
import { MessageHandlerConfigBuilder } from '@message-queue-toolkit/core'
import channels from '@moleculer/channels'
import { Logger } from '@nestjs/common'
import { ClientRMQ, type RmqContext, ServerRMQ } from '@nestjs/microservices'
import { randomUUID } from 'node:crypto'
import { type Channel, connect, type Message } from 'amqplib'
import { lastValueFrom } from 'rxjs'
import { z } from 'zod'
import { body } from './bodies.ts'
import { moleculerSide } from './moleculer.ts'
import { QUORUM } from './rabbitmq-bare.ts'
import type { Side } from './side.ts'

type Reading = ReturnType<typeof body>

async function removeQueue(url: string, queue: string): Promise<void> {
  const model = await connect(url)
  const channel = await model.createChannel()
  await channel.deleteQueue(queue)
  await model.close()
}

/** Its transport alone, without modules and controllers, which would only add to it. */
export function nestSide(url: string): Side {
  return {
    name: 'NestJS',
    weaker: 'no ids; a missing queue goes unnoticed',
    async open(bytes) {
      Logger.overrideLogger(['error'])
      const queue = `nest-${randomUUID()}`
      const socketOptions = { connectionOptions: { noDelay: true } }
      const options = {
        urls: [url],
        queue,
        queueOptions: { durable: true, arguments: QUORUM },
        socketOptions,
      }
      const client = new ClientRMQ({ ...options, persistent: true })
      await client.connect()
      const publish = (i: number) =>
        lastValueFrom(client.emit('job', body(i, bytes)), { defaultValue: undefined })
      let server: ServerRMQ | undefined
      return {
        publish,
        publishBatch: (from, count) =>
          Promise.all(Array.from({ length: count }, (_, n) => publish(from + n))),
        async consume(arrived, { concurrency, prefetch }) {
          // It has no concurrency besides its prefetch.
          const made = new ServerRMQ({
            ...options,
            noAck: false,
            prefetchCount: Math.min(concurrency, prefetch),
          })
          server = made
          const handler = async (value: Reading, context: RmqContext): Promise<void> => {
            arrived(value.i)
            ;(context.getChannelRef() as Channel).ack(context.getMessage() as Message)
          }
          made.addHandler('job', handler as never, true)
          await new Promise<void>((resolve, reject) => {
            void made.listen((error?: unknown) => (error === undefined ? resolve() : reject(error)))
          })
        },
        async close() {
          await server?.close()
          await client.close()
          await removeQueue(url, queue)
        },
      }
    },
  }
}

const schema = z.object({
  id: z.string(),
  type: z.literal('job'),
  timestamp: z.string().optional(),
  i: z.number(),
  text: z.string(),
  tags: z.array(z.string()),
})
type Job = z.infer<typeof schema>

class Publisher extends AbstractAmqpQueuePublisher<Job> {}
class Worker extends AbstractAmqpQueueConsumer<Job, (i: number) => void> {}

const quiet = () => undefined
const logger = { error: quiet, warn: quiet, info: quiet, debug: quiet, trace: quiet, fatal: quiet }

export function toolkitSide(url: string): Side {
  return {
    name: 'message-queue-toolkit',
    weaker: 'a publish is not confirmed; fetches without limit',
    async open(bytes) {
      const { hostname, port } = new URL(url)
      const queueName = `toolkit-${randomUUID()}`
      const manager = new AmqpConnectionManager(
        { hostname, port: Number(port), username: 'guest', password: 'guest', vhost: '', useTls: false },
        logger as never,
      )
      await manager.init()
      const dependencies = {
        amqpConnectionManager: manager,
        logger,
        errorReporter: { report: quiet },
        consumerErrorResolver: { processError: (error: unknown) => error },
        transactionObservabilityManager: {
          start: quiet,
          startWithGroup: quiet,
          stop: quiet,
          addCustomAttributes: quiet,
        },
      } as unknown as AMQPConsumerDependencies
      const common = {
        creationConfig: { queueName, queueOptions: { durable: true, arguments: QUORUM } },
        messageTypeResolver: { messageTypePath: 'type' },
      }
      const publisher = new Publisher(dependencies, { ...common, messageSchemas: [schema] })
      await publisher.init()
      const publish = (i: number): Promise<void> => {
        publisher.publish(
          { id: randomUUID(), type: 'job', ...body(i, bytes) },
          { publishOptions: { persistent: true } },
        )
        return Promise.resolve()
      }
      let worker: Worker | undefined
      let closing = false
      return {
        publish,
        publishBatch: (from, count) =>
          Promise.all(Array.from({ length: count }, (_, n) => publish(from + n))),
        async consume(arrived) {
          worker = new Worker(
            dependencies,
            {
              ...common,
              handlers: new MessageHandlerConfigBuilder<Job, (i: number) => void>()
                .addConfig(schema, async (message, told) => {
                  // It ends the process when it has something to acknowledge on a channel that is closed.
                  if (closing) await new Promise(() => undefined)
                  told(message.i)
                  return { result: 'success' }
                })
                .build(),
            },
            arrived,
          )
          await worker.start()
        },
        async close() {
          closing = true
          await new Promise((resolve) => setTimeout(resolve, 20))
          await worker?.close()
          await publisher.close()
          await manager.close()
          await removeQueue(url, queueName)
        },
      }
    },
  }
}

/** Its adapter only asks amqplib 2 for a file that amqplib does not show: its version, to warn about. */
class ChannelsAdapter extends channels.Adapters.AMQP {
  declare channel: Channel
  override checkClientLibVersion(): boolean {
    return true
  }
}

export function channelsSide(url: string): Side {
  const queueOptions = { durable: true, arguments: QUORUM }
  const exchangeOptions = { durable: true }
  const queueOf = (name: string): string => `bench.${name}`
  let last: ChannelsAdapter | undefined
  return moleculerSide({
    adapter() {
      const amqp = {
        url,
        socketOptions: { noDelay: true },
        queueOptions,
        exchangeOptions,
        messageOptions: { persistent: true },
      }
      return (last = new ChannelsAdapter({ amqp }))
    },
    fetch: async (count) => last?.channel.prefetch(count),
    weaker: 'a publish is not confirmed, and an error when the socket is behind',
    async prepare(name) {
      const model = await connect(url)
      const over = await model.createChannel()
      await over.assertExchange(name, 'fanout', exchangeOptions)
      await over.assertQueue(queueOf(name), queueOptions)
      await over.bindQueue(queueOf(name), name, '')
      await model.close()
    },
    published: ({ message }) => message.includes('Write buffer is full'),
    async remove(name) {
      const model = await connect(url)
      const over = await model.createChannel()
      await over.deleteQueue(queueOf(name))
      await over.deleteExchange(name)
      await model.close()
    },
  })
}
