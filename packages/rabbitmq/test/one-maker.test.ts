import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { connected, fresh, live, outbound, plainSettings, until } from '@mq/conformance/fixtures'
import type { BrokerAdapter, Declaration, QueueSettings } from '@mq/core/adapter'
import { type Channel, connect } from 'amqplib'
import type { Connection } from '../src/connection.ts'
import { own } from '../src/names.ts'
import { createOneMaker } from '../src/one-maker.ts'
import { rabbitmqAdapter } from '../src/index.ts'
import { broker, channel, foreign } from './bench.ts'

const compare = (over: Partial<QueueSettings> = {}): Declaration => ({
  settings: { ...plainSettings, ...over },
  pattern: undefined,
  ifExists: 'compare',
})

const adapters: BrokerAdapter[] = []

beforeAll(async () => {
  for (let n = 0; n < 6; n++) {
    const adapter = rabbitmqAdapter({ url: broker.url })
    await connected(adapter)
    adapters.push(adapter)
  }
}, 60_000)
afterAll(async () => {
  await Promise.all(adapters.map((adapter) => adapter.disconnect(AbortSignal.timeout(5_000))))
})

describe('several connections that make one queue at once', () => {
  it('agree on its partitions: the others are told', async () => {
    const queue = fresh()
    const declared = await Promise.allSettled(
      adapters.map((adapter, n) =>
        adapter.declare({ queue }, compare({ ordered: true, partitions: n % 2 === 0 ? 2 : 4 })),
      ),
    )
    const refused = declared.flatMap((each) => (each.status === 'rejected' ? [each.reason as Error] : []))
    expect(refused).toHaveLength(3)
    for (const error of refused) expect(error.message).toMatch(/partitions is [24], not [24]$/)
  })

  it('store in it at once', async () => {
    const queue = fresh()
    const stored = await Promise.all(
      adapters.map(async (adapter) => {
        await adapter.declare({ queue }, compare({ maxLength: 100 }))
        return adapter.publish([outbound({ queue })], live)
      }),
    )
    expect(stored.flat().filter(({ ok }) => !ok)).toEqual([])
  })

  it('leave nothing behind but the queue', async () => {
    const queue = fresh()
    await Promise.all(adapters.map((adapter) => adapter.declare({ queue }, compare())))
    expect(await broker.run('list_queues', 'name')).not.toContain(own.making(queue))
  })
})

describe('who makes a queue', () => {
  it('makes it again when somebody deletes it meanwhile', async () => {
    const queue = fresh()
    const methods = Object.getPrototypeOf(channel) as Channel
    const { bindQueue } = methods
    const deleted = jest.spyOn(methods, 'bindQueue').mockImplementationOnce(async function (
      this: Channel,
      ...args
    ) {
      await channel.deleteQueue(queue)
      return bindQueue.apply(this, args)
    })
    await adapters[0]?.declare({ queue }, compare())
    expect(deleted.mock.calls.length).toBeGreaterThan(1)
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0 })
    deleted.mockRestore()
  })

  it('waits for another connection that is at it', async () => {
    const queue = fresh()
    const other = await connect(broker.url)
    const theirs = await other.createChannel()
    await theirs.assertQueue(own.making(queue), { exclusive: true, durable: false })
    let looks = 0
    const admin: Connection['admin'] = async (call) => {
      const one = await foreign.createChannel()
      one.on('error', () => looks++)
      return call(one)
    }
    let made = false
    const maker = createOneMaker({ admin }, () => Promise.resolve(false))
    const making = maker.make(queue, (isNew) => {
      made = true
      return Promise.resolve(isNew)
    })
    await until(() => looks > 2)
    expect(made).toBe(false)
    await other.close()
    expect(await making).toBe(true)
  })
})
