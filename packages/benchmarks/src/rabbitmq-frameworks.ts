import {
  AbstractAmqpQueueConsumer,
  AbstractAmqpQueuePublisher,
  AmqpConnectionManager,
  type AMQPConsumerDependencies,
} from '@message-queue-toolkit/amqp'
import { MessageHandlerConfigBuilder } from '@message-queue-toolkit/core'
import { Logger } from '@nestjs/common'
import { ClientRMQ, type RmqContext, ServerRMQ } from '@nestjs/microservices'
import { randomUUID } from 'node:crypto'
import { type Channel, connect, type Message } from 'amqplib'
import { lastValueFrom } from 'rxjs'
import { z } from 'zod'
import { body } from './bodies.ts'
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
