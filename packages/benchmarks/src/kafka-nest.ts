import { Logger } from '@nestjs/common'
import { ClientKafka, ServerKafka } from '@nestjs/microservices'
import { logLevel } from 'kafkajs'
import { randomUUID } from 'node:crypto'
import { lastValueFrom } from 'rxjs'
import { COMMIT_MS, makeTopics, PARTITIONS } from './kafka-bare.ts'
import { body } from './bodies.ts'
import type { Side } from './side.ts'

type Reading = ReturnType<typeof body>

/** Its transport alone, without modules and controllers, which would only add to it. */
export function nestSide(url: string): Side {
  return {
    name: 'NestJS',
    weaker: 'no ids; one message of a partition at a time',
    async open(bytes) {
      Logger.overrideLogger(false)
      const topic = `nest-${randomUUID()}`
      const remove = await makeTopics(url, [topic], [`${topic}-server`])
      const client = { brokers: url.split(','), logLevel: logLevel.NOTHING }
      const sending = new ClientKafka({ client, producerOnlyMode: true, send: { acks: -1 } })
      await sending.connect()
      const publish = (i: number) =>
        lastValueFrom(sending.emit(topic, body(i, bytes)), { defaultValue: undefined })
      const publishBatch = (from: number, count: number) =>
        lastValueFrom(
          sending.emitBatch(topic, {
            messages: Array.from({ length: count }, (_, n) => body(from + n, bytes)),
          }),
          { defaultValue: undefined },
        )
      let server: ServerKafka | undefined
      return {
        publish,
        publishBatch,
        async consume(arrived, { concurrency }) {
          const made = new ServerKafka({
            client,
            consumer: { groupId: topic, maxWaitTimeInMs: 500 },
            subscribe: { fromBeginning: true },
            run: {
              autoCommitInterval: COMMIT_MS,
              partitionsConsumedConcurrently: Math.min(PARTITIONS, concurrency),
            },
          })
          server = made
          const handler = async (value: Reading): Promise<void> => arrived(value.i)
          made.addHandler(topic, handler as never, true)
          await new Promise<void>((resolve, reject) => {
            void made.listen((error?: unknown) => (error === undefined ? resolve() : reject(error)))
          })
        },
        async close() {
          await server?.close()
          await sending.close()
          await remove()
        },
      }
    },
  }
}
