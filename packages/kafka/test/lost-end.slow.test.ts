import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Delivery, Receiver } from '@mq/core/adapter'
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
const OLD = ['c', 'd', 'e']
const NEW = ['C', 'D', 'E', 'F', 'G']

/** A queue that holds `a` and `b`, then `OLD`, padded; `replaceEnd` puts `NEW` in the place of those. */
async function queueThatLoses(sender: BrokerAdapter, padding: number) {
  const target = { queue: fresh() }
  await sender.declare(target, declaration)
  const send = async (texts: readonly string[], length = 0) => {
    for (const text of texts) {
      const sent = outbound(target, { body: Buffer.from(text.padEnd(length)) })
      await until(async () => (await sender.publish([sent], live)).every(({ ok }) => ok))
    }
  }
  const file = join(dataDir, 'node-0', 'data', `${target.queue}-0`, '00000000000000000000.log')
  await send(['a', 'b'])
  const { size } = statSync(file)
  await send(OLD, padding)
  const replaceEnd = async (): Promise<void> => {
    await broker.kill()
    truncateSync(file, size)
    await broker.start()
    await send(NEW)
  }
  return { target, replaceEnd }
}

const text = ({ body }: Delivery): string => Buffer.from(body).toString().trim()

/** Acknowledges what comes until all of `NEW` has come; answers all of it. */
async function rest(receiver: Receiver): Promise<string[]> {
  const seen: string[] = []
  await until(async () => {
    const got = await receiver.receive(10, live)
    await receiver.ack(got)
    seen.push(...got.map(text))
    return NEW.every((each) => seen.includes(each))
  })
  return seen
}

describe('a log that lost its end, and grew as long again', () => {
  it('before it was read on is read again from where it is another', async () => {
    const [reader, sender] = [await connect(patient), await connect(patient)]
    // So much that nothing is read on before something of it was taken.
    const { target, replaceEnd } = await queueThatLoses(sender, 500_000)
    const receiver = await consuming(reader, target)
    const first = await take(receiver, 1)
    await until(async () => (await reader.size(target)) === 5)
    await replaceEnd()
    expect(await receiver.ack(first)).toEqual(['settled'])
    expect([...first.map(text), ...(await rest(receiver))]).toEqual(['a', 'b', ...OLD, ...NEW])
    await until(async () => (await reader.size(target)) === 0)
  }, 240_000)

  it('while nobody read it is read again from where it is another', async () => {
    const [reader, sender] = [await connect(patient), await connect(patient)]
    const { target, replaceEnd } = await queueThatLoses(sender, 0)
    const receiver = await consuming(reader, target)
    await receiver.ack(await take(receiver, 5))
    await receiver.close(live)
    expect(await reader.size(target)).toBe(0)
    await replaceEnd()
    expect(await rest(await consuming(reader, target))).toEqual(NEW)
  }, 240_000)
})
