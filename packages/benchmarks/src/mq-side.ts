import { randomUUID } from 'node:crypto'
import { MessageQueue } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'
import { body } from './bodies.ts'
import type { Side } from './side.ts'

/** The most handlers at once that a workload asks for; the default is 100. */
const MOST_AT_ONCE = 200

/** This library, on the broker of an adapter. */
export function mqSide(name: string, adapter: () => BrokerAdapter): Side {
  const make = () => new MessageQueue(adapter(), { maxConcurrentMessages: MOST_AT_ONCE })
  return {
    name,
    shapes: true,
    async open(bytes, shape = { queues: 1, consumers: 1 }) {
      const queue = make()
      await queue.connect()
      const names = Array.from({ length: shape.queues }, () => `bench-${randomUUID()}`)
      await Promise.all(names.map((each) => queue.createQueue({ name: each })))
      const others: MessageQueue[] = []
      const nameOf = (i: number): string => names[i % names.length] as string
      return {
        publish: (i) => queue.send(nameOf(i), body(i, bytes)),
        publishBatch: (from, count) =>
          queue.sendBatch(
            Array.from({ length: count }, (_, n) => ({
              body: body(from + n, bytes),
              queueName: nameOf(from + n),
            })),
          ),
        async consume(arrived, options) {
          // A connection handles a queue once; further consumers are what further processes would be.
          for (let n = 1; n < shape.consumers; n++) {
            const other = make()
            others.push(other)
            await other.connect()
          }
          for (const each of [queue, ...others])
            for (const name of names)
              await each.consume(name, async (message) => arrived((message.body as { i: number }).i), options)
        },
        async close() {
          await Promise.all([queue, ...others].map((each) => each.disconnect()))
          await queue.connect()
          await Promise.all(names.map((each) => queue.deleteQueue(each)))
          await queue.disconnect()
        },
      }
    },
  }
}
