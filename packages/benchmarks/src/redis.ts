import { randomUUID } from 'node:crypto'
import { redisAdapter } from '@mq/redis'
import { Queue, Worker } from 'bullmq'
import BeeQueue from 'bee-queue'
import { createClient } from 'redis'
import { body } from './bodies.ts'
import { inFlight } from './compare.ts'
import { moleculerSide } from './moleculer.ts'
import { mqSide } from './mq-side.ts'
import type { Session, Side } from './side.ts'

type Reading = ReturnType<typeof body>

interface Entry {
  readonly id: string
  readonly message: { readonly body: string }
}

/** node-redis on streams with its best options: no command time-out, one tick's commands in one write, XACK and XDEL of many at once. */
function bareSide(url: string): Side {
  return {
    name: 'node-redis streams',
    shapes: true,
    async open(bytes, { queues } = { queues: 1, consumers: 1 }) {
      const make = () =>
        createClient({
          url,
          RESP: 3,
          maintNotifications: 'disabled',
          commandOptions: { timeout: 0 },
        }).connect()
      const [client, blocking] = await Promise.all([make(), make()])
      const keys = Array.from({ length: queues }, () => `bare:${randomUUID()}`)
      await Promise.all(keys.map((key) => client.xGroupCreate(key, 'g', '0', { MKSTREAM: true })))
      // The fields that this library writes: the same ids, headers and bytes on the wire.
      const send = (i: number) =>
        client.sendCommand([
          'XADD',
          keys[i % keys.length] as string,
          '*',
          'id',
          randomUUID(),
          'ts',
          String(Date.now()),
          'body',
          JSON.stringify(body(i, bytes)),
          'content-type',
          'application/json',
        ])
      let closed = false
      let reading: Promise<void> = Promise.resolve()
      const session: Session = {
        publish: send,
        publishBatch: (from, count) => Promise.all(Array.from({ length: count }, (_, n) => send(from + n))),
        consume(arrived, { concurrency, prefetch }) {
          const handler = async (value: Reading) => arrived(value.i)
          const settling = new Set<Promise<unknown>>()
          reading = (async () => {
            while (!closed) {
              const answer = await blocking.xReadGroup(
                'g',
                'c',
                keys.map((key) => ({ key, id: '>' })),
                { COUNT: prefetch, BLOCK: 200 },
              )
              const read = (answer ?? []) as { name: string; messages: Entry[] }[]
              for (const { name, messages } of read) {
                await inFlight(messages.length, concurrency, (n) =>
                  handler(JSON.parse((messages[n] as Entry).message.body) as Reading),
                )
                const ids = messages.map(({ id }) => id)
                const settled = Promise.all([client.xAck(name, 'g', ids), client.xDel(name, ids)])
                settling.add(settled)
                void settled.then(() => settling.delete(settled))
                if (settling.size > 4) await Promise.race(settling)
              }
            }
            await Promise.all(settling)
          })()
          return Promise.resolve()
        },
        async close() {
          closed = true
          await reading
          await client.del(keys)
          client.destroy()
          blocking.destroy()
        },
      }
      return session
    },
  }
}

function bullSide(url: string): Side {
  const { hostname, port } = new URL(url)
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null }
  return {
    name: 'BullMQ',
    async open(bytes) {
      const name = `bull-${randomUUID()}`
      const queue = new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true } })
      await queue.waitUntilReady()
      let worker: Worker | undefined
      return {
        publish: (i) => queue.add('job', body(i, bytes)),
        publishBatch: (from, count) =>
          queue.addBulk(
            Array.from({ length: count }, (_, n) => ({ name: 'job', data: body(from + n, bytes) })),
          ),
        async consume(arrived, { concurrency }) {
          worker = new Worker(name, async (job) => arrived((job.data as Reading).i), {
            connection,
            concurrency,
          })
          worker.on('error', () => undefined)
          await worker.waitUntilReady()
        },
        async close() {
          await worker?.close()
          await queue.obliterate({ force: true })
          await queue.close()
        },
      }
    },
  }
}

function beeSide(url: string): Side {
  return {
    name: 'bee-queue',
    async open(bytes) {
      const queue = new BeeQueue<Reading>(`bee-${randomUUID()}`, {
        redis: { url },
        removeOnSuccess: true,
        getEvents: false,
        sendEvents: false,
      })
      await queue.ready()
      const send = (i: number) => queue.createJob(body(i, bytes)).save()
      return {
        publish: send,
        publishBatch: (from, count) =>
          queue.saveAll(Array.from({ length: count }, (_, n) => queue.createJob(body(from + n, bytes)))),
        consume(arrived, { concurrency }) {
          queue.process(concurrency, async (job) => arrived(job.data.i))
          return Promise.resolve()
        },
        async close() {
          await queue.close(1000)
          const cleaner = await createClient({ url }).connect()
          await cleaner.flushDb()
          cleaner.destroy()
        },
      }
    },
  }
}

function channelsSide(url: string): Side {
  return moleculerSide({
    adapter: () => ({ type: 'Redis', options: { redis: url } }),
    channel: { redis: { startID: '0' } },
    weaker: 'keeps what it handled: the stream only grows',
    async remove(name) {
      const cleaner = await createClient({ url }).connect()
      await cleaner.del(name)
      cleaner.destroy()
    },
  })
}

export function redisSides(url: string): Side[] {
  return [
    bareSide(url),
    mqSide('@mq/redis', () => redisAdapter({ url })),
    bullSide(url),
    beeSide(url),
    channelsSide(url),
  ]
}
