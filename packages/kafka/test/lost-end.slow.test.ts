import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import type { KafkaOptions } from '@mq/kafka'
import { adapters, consuming, declaration, take, until } from './support.ts'

let broker: RunningBroker
let dataDir: string
const { connect, closeAll } = adapters(() => broker.url)

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'mq-kafka-lost-end-'))
  broker = await startBroker('kafka', { fresh: true, dataDir })
}, 180_000)
afterEach(closeAll)
afterAll(async () => {
  await broker.stop()
  rmSync(dataDir, { recursive: true, force: true })
}, 60_000)

/** Neither the connection nor a membership ends while the broker is away. Of the log nothing is deleted, and all of it comes in one fetch. */
const patient: KafkaOptions = {
  lostAfterMs: 600_000,
  sessionTimeoutMs: 120_000,
  trim: false,
  fetchPartitionBytes: 16 * 1024 * 1024,
}

describe('a log that lost its end, and got another one before it was read on', () => {
  it('is read again from where it is another', async () => {
    const [reader, sender] = [await connect(patient), await connect(patient)]
    const target = { queue: fresh() }
    await sender.declare(target, declaration)
    const send = async (texts: readonly string[], padding = 0) => {
      for (const text of texts) {
        const sent = outbound(target, { body: Buffer.from(text.padEnd(padding)) })
        await until(async () => (await sender.publish([sent], live)).every(({ ok }) => ok))
      }
    }
    const file = join(dataDir, 'node-0', 'data', `${target.queue}-0`, '00000000000000000000.log')
    await send(['a', 'b'])
    const { size } = statSync(file)
    // So much that nothing is read on before something of it was taken.
    await send(['c', 'd', 'e'], 500_000)
    const receiver = await consuming(reader, target)
    const [first] = await take(receiver, 1)
    await until(async () => (await reader.size(target)) === 5)
    await broker.kill()
    truncateSync(file, size)
    await broker.start()
    const news = ['C', 'D', 'E', 'F', 'G']
    await send(news)
    expect(statSync(file).size).toBeLessThan(500_000)
    expect(await receiver.ack(first === undefined ? [] : [first])).toEqual(['settled'])
    const seen: string[] = []
    await until(async () => {
      const got = await receiver.receive(10, live)
      await receiver.ack(got)
      seen.push(...got.map(({ body }) => Buffer.from(body).toString().trim()))
      return news.every((text) => seen.includes(text))
    })
    // What was read before, each once, then what is there now.
    expect(seen).toEqual(['b', 'c', 'd', 'e', ...news])
    await until(async () => (await reader.size(target)) === 0)
  }, 240_000)
})
