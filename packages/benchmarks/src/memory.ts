import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { memoryAdapter } from '@mq/core'
import fastq from 'fastq'
import PQueue from 'p-queue'
import { body } from './bodies.ts'
import { mqSide } from './mq-side.ts'
import type { Session, Side } from './side.ts'

type Reading = ReturnType<typeof body>

/** What every broker keeps of a message beside its body: the least that both sides have in common. */
interface Kept {
  readonly id: string
  readonly timestamp: number
  readonly bytes: Buffer
}

interface Received {
  readonly id: string
  readonly timestamp: Date
  readonly body: Reading
}

/**
 * The limit for a broker that keeps messages as bytes: an array and microtasks. Each message has an id and a time; its body is serialised
 * on send and parsed on receipt; sending, receiving and acknowledging each answer by a promise, as any broker must.
 */
const byteArray: Side = {
  name: 'byte array',
  open: (bytes) => {
    const items: (Kept | undefined)[] = []
    const prefix = `${randomUUID()}-`
    let head = 0
    let waiting: (() => void)[] = []
    let closed = false
    const send = async (i: number): Promise<string> => {
      const id = prefix + i
      items.push({ id, timestamp: Date.now(), bytes: Buffer.from(JSON.stringify(body(i, bytes))) })
      waiting.pop()?.()
      return id
    }
    const receive = async (): Promise<Received | undefined> => {
      while (head === items.length && !closed) await new Promise<void>((resolve) => waiting.push(resolve))
      const next = items[head]
      if (next === undefined) return undefined
      items[head++] = undefined
      return {
        id: next.id,
        timestamp: new Date(next.timestamp),
        body: JSON.parse(next.bytes.toString()) as Reading,
      }
    }
    const acknowledge = async (): Promise<void> => undefined
    const session: Session = {
      publish: send,
      publishBatch: (from, count) => Promise.all(Array.from({ length: count }, (_, n) => send(from + n))),
      async consume(arrived, { concurrency }) {
        const handler = async (message: Received) => arrived(message.body.i)
        const worker = async () => {
          for (let message = await receive(); message !== undefined; message = await receive()) {
            await handler(message)
            await acknowledge()
          }
        }
        for (let n = 0; n < concurrency; n++) void worker()
        return Promise.resolve()
      },
      close() {
        closed = true
        for (const resolve of waiting) resolve()
        waiting = []
        return Promise.resolve()
      },
    }
    return Promise.resolve(session)
  },
}

const WEAKER = 'keeps references; no acknowledgement'

const fastqSide: Side = {
  name: 'fastq',
  weaker: WEAKER,
  lacks: ['W1', 'W2'],
  open: (bytes) => {
    let arrived: (i: number) => void = () => undefined
    const queue = fastq.promise(async (value: Reading) => arrived(value.i), 1)
    queue.pause()
    const session: Session = {
      publish: (i) => queue.push(body(i, bytes)),
      publishBatch: (from, count) => {
        for (let n = 0; n < count; n++) void queue.push(body(from + n, bytes))
        return Promise.resolve()
      },
      consume: (handler, { concurrency }) => {
        arrived = handler
        queue.concurrency = concurrency
        queue.resume()
        return Promise.resolve()
      },
      close: () => Promise.resolve(),
    }
    return Promise.resolve(session)
  },
}

const pQueueSide: Side = {
  name: 'p-queue',
  weaker: WEAKER,
  lacks: ['W1', 'W2', 'W4'],
  open: (bytes) => {
    let arrived: (i: number) => void = () => undefined
    const queue = new PQueue({ autoStart: false })
    const add = (i: number) => {
      const value = body(i, bytes)
      void queue.add(async () => arrived(value.i))
    }
    const session: Session = {
      publish: (i) => Promise.resolve(add(i)),
      publishBatch: (from, count) => {
        for (let n = 0; n < count; n++) add(from + n)
        return Promise.resolve()
      },
      consume: (handler, { concurrency }) => {
        arrived = handler
        queue.concurrency = concurrency
        queue.start()
        return Promise.resolve()
      },
      close: () => Promise.resolve(),
    }
    return Promise.resolve(session)
  },
}

export const memorySides: readonly Side[] = [
  byteArray,
  // One url: all of its consumers are to be those of one broker.
  mqSide('@mq memory', () => memoryAdapter({ url: 'memory://bench' })),
  pQueueSide,
  fastqSide,
]
