import { describe, expect, it } from '@jest/globals'
import { connected, declare, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import { rabbitmqAdapter } from '../src/index.ts'
import { broker, channel } from './bench.ts'

describe('a stream in the place of a queue', () => {
  it('is sent to, and refused where it would be read or purged, which costs no connection', async () => {
    const queue = fresh()
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'stream' } })
    const adapter = rabbitmqAdapter({ url: broker.url })
    const { lost } = await connected(adapter)
    const target = await declare(adapter, queue)
    expect(await adapter.publish([outbound(target)], live)).toEqual([{ ok: true }])
    for (const mode of ['consume', 'pull', 'browse'] as const)
      await expect(adapter.open(source(target, { mode }), () => undefined)).rejects.toMatchObject({
        code: 'MQ_UNSUPPORTED',
      })
    await expect(adapter.purge(target)).rejects.toMatchObject({ code: 'MQ_UNSUPPORTED' })
    expect(lost).toEqual([])
    await adapter.disconnect(live)
  })
})
