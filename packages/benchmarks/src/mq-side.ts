import { randomUUID } from 'node:crypto'
import type { MessageQueue } from '@mq/core'
import { body } from './bodies.ts'
import type { Side } from './side.ts'

/** This library, on whichever broker `make` names. */
export function mqSide(name: string, make: () => MessageQueue): Side {
  return {
    name,
    async open(bytes) {
      const queue = make()
      await queue.connect()
      const queueName = `bench-${randomUUID()}`
      await queue.createQueue({ name: queueName })
      return {
        publish: (i) => queue.send(queueName, body(i, bytes)),
        publishBatch: (from, count) =>
          queue.sendBatch(
            Array.from({ length: count }, (_, n) => ({ body: body(from + n, bytes), queueName })),
          ),
        async consume(arrived, options) {
          await queue.consume(
            queueName,
            async (message) => arrived((message.body as { i: number }).i),
            options,
          )
        },
        async close() {
          await queue.disconnect()
          await queue.connect()
          await queue.deleteQueue(queueName)
          await queue.disconnect()
        },
      }
    },
  }
}
