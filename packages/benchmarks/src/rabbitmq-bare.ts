import { Buffer } from 'node:buffer'
import { type ChannelModel, connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib'
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { body } from './bodies.ts'
import type { Side } from './side.ts'

/** What every side's queue is. */
export const QUORUM = { 'x-queue-type': 'quorum' } as const

/** Most messages written and not confirmed: this library's own window. */
const WINDOW = 1000

/**
 * amqplib in its fastest correct use: no Nagle, publishing and consuming apart, confirms in a sliding window, and everything that is finished
 * acknowledged by one frame. With `gathered`, what is written in one turn leaves together, as this library does it: the client has no option for
 * that, and hardly anybody does it by hand.
 */
export function amqplibSide(url: string, gathered: boolean): Side {
  return {
    name: gathered ? 'amqplib, writes gathered' : 'amqplib',
    shapes: true,
    async open(bytes, shape = { queues: 1, consumers: 1 }) {
      const [publishing, consuming] = await Promise.all([
        connect(url, { noDelay: true }),
        connect(url, { noDelay: true }),
      ])
      if (gathered) for (const model of [publishing, consuming]) gather(model)
      const queues = Array.from({ length: shape.queues }, () => `bare-${randomUUID()}`)
      const channel = await publishing.createConfirmChannel()
      for (const queue of queues) await channel.assertQueue(queue, { durable: true, arguments: QUORUM })
      const send = windowed(channel, queues, bytes)
      const cancels: (() => Promise<unknown>)[] = []
      return {
        publish: send,
        publishBatch: (from, count) => Promise.all(Array.from({ length: count }, (_, n) => send(from + n))),
        async consume(arrived, options) {
          for (const queue of queues) cancels.push(await consume(consuming, queue, arrived, options))
        },
        async close() {
          for (const cancel of cancels) await cancel()
          for (const queue of queues) await channel.deleteQueue(queue)
          await Promise.all([publishing.close(), consuming.close()])
        },
      }
    },
  }
}

/** Handles the messages of a queue on a channel of its own; answers what ends it. */
async function consume(
  model: ChannelModel,
  queue: string,
  arrived: (i: number) => void,
  { concurrency, prefetch }: { concurrency: number; prefetch: number },
): Promise<() => Promise<unknown>> {
  const channel = await model.createConfirmChannel()
  await channel.prefetch(prefetch)
  const finished = acknowledger(channel)
  const handler = async (value: { i: number }): Promise<void> => arrived(value.i)
  const handle = async (message: ConsumeMessage): Promise<void> => {
    await handler(JSON.parse(message.content.toString()) as { i: number })
    finished(message.fields.deliveryTag)
  }
  const waiting: ConsumeMessage[] = []
  let running = 0
  const next = async (): Promise<void> => {
    running++
    for (let message = waiting.shift(); message !== undefined; message = waiting.shift())
      await handle(message)
    running--
  }
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) return
    // With as much concurrency as is fetched there is nothing to hold back.
    if (concurrency >= prefetch) return void handle(message)
    waiting.push(message)
    if (running < concurrency) void next()
  })
  return () => channel.cancel(consumerTag)
}

/** Corks the socket until the end of the turn. */
function gather(model: ChannelModel): void {
  const { stream } = model.connection as unknown as { stream: Duplex }
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  let corked = false
  const flush = (): void => {
    corked = false
    stream.uncork()
  }
  stream.write = (...args: unknown[]): boolean => {
    if (!corked) {
      corked = true
      stream.cork()
      process.nextTick(flush)
    }
    return write(...args)
  }
}

/** Publishes with the properties that this library writes. Rejects what the server returns. */
function windowed(
  channel: ConfirmChannel,
  queues: readonly string[],
  bytes: number,
): (i: number) => Promise<void> {
  const returned = new Set<unknown>()
  channel.on('return', ({ properties }: ConsumeMessage) => void returned.add(properties.messageId))
  const waiting: (() => void)[] = []
  let pending = 0
  let full = false
  channel.on('drain', () => {
    full = false
    go()
  })
  const go = (): void => {
    while (!full && pending < WINDOW) {
      const write = waiting.shift()
      if (write === undefined) return
      write()
    }
  }
  return (i) =>
    new Promise<void>((resolve, reject) => {
      const write = (): void => {
        pending++
        const now = Date.now()
        const messageId = randomUUID()
        const room = channel.sendToQueue(
          queues[i % queues.length] as string,
          Buffer.from(JSON.stringify(body(i, bytes))),
          {
            persistent: true,
            mandatory: true,
            messageId,
            contentType: 'application/json',
            timestamp: Math.floor(now / 1000),
            headers: { timestamp_in_ms: now },
          },
          (error: Error | null) => {
            pending--
            if (error !== null) reject(error)
            else if (returned.size > 0 && returned.delete(messageId)) reject(new Error('no such queue'))
            else resolve()
            if (waiting.length > 0) go()
          },
        )
        if (!room) full = true
      }
      if (full || pending >= WINDOW) waiting.push(write)
      else write()
    })
}

/** Acknowledges what was finished in one turn by one frame, up to the first message that is still under way. */
function acknowledger(channel: ConfirmChannel): (tag: number) => void {
  const done = new Set<number>()
  let through = 0
  let told = 0
  let scheduled = false
  const tell = (): void => {
    scheduled = false
    if (through === told) return
    told = through
    channel.ack({ fields: { deliveryTag: through } } as ConsumeMessage, true)
  }
  return (tag) => {
    if (tag === through + 1) {
      through = tag
      while (done.size > 0 && done.delete(through + 1)) through++
    } else done.add(tag)
    if (scheduled) return
    scheduled = true
    setImmediate(tell)
  }
}
