import { type Buffer } from 'node:buffer'
import { type Admin, type Consumer, Kafka, logLevel, type Message, type Producer } from 'kafkajs'
import { randomUUID } from 'node:crypto'
import { body } from './bodies.ts'
import type { Session, Side } from './side.ts'

/** What this library's queues have unless told otherwise, and so every side's topic. */
export const PARTITIONS = 4

/** This library's own: the longest time between an acknowledgement and its commit, in ms. */
export const COMMIT_MS = 100

export function clientOf(url: string): Kafka {
  return new Kafka({ clientId: 'bare', brokers: url.split(','), logLevel: logLevel.NOTHING })
}

/** Makes topics that every side could have; answers how they are removed, with the groups that read them. */
export async function makeTopics(
  url: string,
  topics: readonly string[],
  groups: readonly string[],
): Promise<() => Promise<void>> {
  const admin = clientOf(url).admin()
  await admin.connect()
  await admin.createTopics({
    topics: topics.map((topic) => ({ topic, numPartitions: PARTITIONS })),
    waitForLeaders: false,
  })
  // Not by its own waiting for leaders: what is sent before all of them lead is stored twice by its retries.
  for (const topic of topics)
    while (!(await isLed(admin, topic))) await new Promise((resolve) => setTimeout(resolve, 5))
  await admin.disconnect()
  return async () => {
    await admin.connect()
    await admin.deleteTopics({ topics: [...topics] })
    // One that never read is unknown.
    await admin.deleteGroups([...groups]).catch(() => undefined)
    await admin.disconnect()
  }
}

async function isLed(admin: Admin, topic: string): Promise<boolean> {
  const offsets = await admin.fetchTopicOffsets(topic).catch(() => [])
  return offsets.length === PARTITIONS
}

/**
 * kafkajs in its fastest correct use: `sendBatch`, `eachBatch` with as many handlers at once as are wanted, partitions side by side, offsets
 * resolved after their handlers and committed as often as this library does it. With `gathered`, what is sent in one turn is one batch: the client
 * has no option for that, and without it each `send` is a request of its own.
 */
export function kafkajsSide(url: string, gathered: boolean): Side {
  return {
    name: gathered ? 'kafkajs, sends gathered' : 'kafkajs',
    shapes: true,
    async open(bytes, { queues } = { queues: 1, consumers: 1 }) {
      const group = `bare-${randomUUID()}`
      const topics = Array.from({ length: queues }, (_, n) => `${group}-${n}`)
      const remove = await makeTopics(url, topics, [group])
      const kafka = clientOf(url)
      const producer = kafka.producer({ allowAutoTopicCreation: false })
      await producer.connect()
      const store = storing(producer)
      // The headers that this library writes.
      const recordOf = (i: number): Stored => ({
        topic: topics[i % topics.length] as string,
        value: JSON.stringify(body(i, bytes)),
        headers: { 'mq-id': randomUUID(), 'content-type': 'application/json' },
      })
      const gather = gathering(store)
      let consumer: Consumer | undefined
      const session: Session = {
        publish: gathered ? (i) => gather(recordOf(i)) : (i) => store([recordOf(i)]),
        publishBatch: (from, count) => store(Array.from({ length: count }, (_, n) => recordOf(from + n))),
        async consume(arrived, { concurrency }) {
          consumer = kafka.consumer({
            groupId: group,
            allowAutoTopicCreation: false,
            maxWaitTimeInMs: 500,
          })
          await consume(consumer, topics, concurrency, arrived)
        },
        async close() {
          await consumer?.disconnect()
          await producer.disconnect()
          await remove()
        },
      }
      return session
    },
  }
}

interface Stored extends Message {
  readonly topic: string
}

type Store = (records: Stored[]) => Promise<unknown>

function storing(producer: Producer): Store {
  return (records) => {
    const byTopic = new Map<string, Stored[]>()
    for (const record of records) {
      const messages = byTopic.get(record.topic)
      if (messages === undefined) byTopic.set(record.topic, [record])
      else messages.push(record)
    }
    const topicMessages = Array.from(byTopic, ([topic, messages]) => ({ topic, messages }))
    return producer.sendBatch({ acks: -1, topicMessages })
  }
}

/** What is sent in one turn of the event loop is stored by one request. */
function gathering(store: Store): (record: Stored) => Promise<void> {
  let records: Stored[] = []
  let waiting: { resolve: () => void; reject: (error: unknown) => void }[] = []
  const flush = (): void => {
    const those = waiting
    store(records).then(
      () => those.forEach(({ resolve }) => resolve()),
      (error: unknown) => those.forEach(({ reject }) => reject(error)),
    )
    records = []
    waiting = []
  }
  return (record) =>
    new Promise<void>((resolve, reject) => {
      if (records.push(record) === 1) setImmediate(flush)
      waiting.push({ resolve, reject })
    })
}

async function consume(
  consumer: Consumer,
  topics: string[],
  concurrency: number,
  arrived: (i: number) => void,
): Promise<void> {
  const atOnce = Math.min(PARTITIONS, concurrency)
  const share = Math.floor(concurrency / atOnce)
  const handler = async (value: { i: number }): Promise<void> => arrived(value.i)
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({
    eachBatchAutoResolve: false,
    autoCommitInterval: COMMIT_MS,
    partitionsConsumedConcurrently: atOnce,
    async eachBatch({ batch, resolveOffset, commitOffsetsIfNecessary, heartbeat, isRunning, isStale }) {
      const { messages } = batch
      for (let at = 0; at < messages.length && isRunning() && !isStale(); at += share) {
        const some = messages.slice(at, at + share)
        await Promise.all(
          some.map(({ value }) => handler(JSON.parse((value as Buffer).toString()) as { i: number })),
        )
        resolveOffset((some[some.length - 1] as { offset: string }).offset)
      }
      await commitOffsetsIfNecessary()
      await heartbeat()
    },
  })
}
