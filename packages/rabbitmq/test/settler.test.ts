import { describe, expect, it } from '@jest/globals'
import { EventEmitter } from 'node:events'
import type { Channel } from 'amqplib'
import { type PublishOutcome, untilAborted } from '@mq/core/adapter'
import type { Publisher } from '../src/publisher.ts'
import { createSettler } from '../src/settler.ts'
import { decode } from '../src/wire.ts'

/** A settler over a channel that only takes notes, and a broker that confirms a copy when it is told to. */
function setUp(rpcTimeoutMs = 20) {
  const written: string[] = []
  const channel = Object.assign(new EventEmitter(), {
    ack: () => written.push('ack'),
    nack: () => written.push('nack'),
  })
  const confirm: ((outcome: PublishOutcome) => void)[] = []
  const copies: Publisher['copies'] = (_, signal) =>
    untilAborted(new Promise<PublishOutcome>((resolve) => confirm.push(resolve)), signal).then(
      (outcome) => [outcome],
      (error: unknown) => [{ ok: false, error, certainty: 'unknown' }],
    )
  const rpc = <T>(call: Promise<T>): Promise<T> => untilAborted(call, AbortSignal.timeout(rpcTimeoutMs))
  const settler = createSettler(
    { rpc },
    channel as unknown as Channel,
    { copies } as Publisher,
    () => null,
    () => undefined,
  )
  const held = decode(
    {
      content: Buffer.from('x'),
      fields: { deliveryTag: 1, redelivered: false, exchange: '', routingKey: 'q', consumerTag: '' },
      properties: { headers: {} },
    } as unknown as Parameters<typeof decode>[0],
    'q',
    undefined,
  )
  settler.add(held)
  return { settler, held, written, confirm, channel }
}

const tooLate = [{ error: expect.objectContaining({ name: 'TimeoutError' }) }]
const refused = { ok: false, error: new Error('no'), certainty: 'not-stored' } as const

describe('a copy whose confirm stays away', () => {
  it('is awaited by whoever asks again, and not written again', async () => {
    const { settler, held, written, confirm } = setUp()
    const [first, second] = [settler.retry([held], 0), settler.retry([held], 0)]
    expect(await Promise.all([first, second])).toEqual([tooLate, tooLate])
    const third = settler.retry([held], 0)
    confirm[0]?.({ ok: true })
    expect([await third, confirm.length, written, settler.open]).toEqual([['settled'], 1, ['ack'], 0])
  })

  it('and comes while nobody waits, settles: whoever asks later hears so', async () => {
    const { settler, held, written, confirm } = setUp()
    expect(await settler.retry([held], 0)).toEqual(tooLate)
    confirm[0]?.({ ok: true })
    await settler.replaced()
    expect([written, settler.open]).toEqual([['ack'], 0])
    expect([await settler.retry([held], 0), confirm.length]).toEqual([['settled'], 1])
  })

  it('and is refused while nobody waits, is written again by the next call', async () => {
    const { settler, held, written, confirm } = setUp()
    expect(await settler.retry([held], 0)).toEqual(tooLate)
    confirm[0]?.(refused)
    await settler.replaced()
    const again = settler.retry([held], 0)
    confirm[1]?.({ ok: true })
    expect([await again, confirm.length, written]).toEqual([['settled'], 2, ['ack']])
  })

  it('is given up when the message is given back', async () => {
    const { settler, held, written } = setUp()
    expect(await settler.retry([held], 0)).toEqual(tooLate)
    expect(await settler.release([held])).toEqual(['settled'])
    expect([written, settler.open]).toEqual([['nack'], 0])
  })

  it('is lost with the channel', async () => {
    const { settler, held, written, confirm, channel } = setUp()
    const retried = settler.retry([held], 0)
    channel.emit('close')
    confirm[0]?.({ ok: true })
    expect([await retried, await settler.retry([held], 0)]).toEqual([['lost'], ['lost']])
    expect(written).toEqual([])
  })
})
