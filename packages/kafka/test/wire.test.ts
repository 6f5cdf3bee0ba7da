import { describe, expect, it } from '@jest/globals'
import { outbound as anyMessage } from '@mq/conformance/fixtures'
import type { OutboundMessage } from '@mq/core/adapter'
import { decodeBatches, type LogRecord } from '../src/log/batch-reader.ts'
import { encodeBatch, type RecordParts } from '../src/log/batch-writer.ts'
import {
  decodeRecord,
  deliverAtOf,
  encodeAsIs,
  encodeDead,
  encodeMessage,
  encodeRemoval,
  encodeRetry,
  isOver,
  removalOf,
} from '../src/wire.ts'

const message = (more: Partial<OutboundMessage> = {}): OutboundMessage =>
  anyMessage(
    { queue: 'q' },
    { id: 'id-1', body: Buffer.from('body'), timestamp: 1_700_000_000_123, sendToken: 'token', ...more },
  )

/** Why a message is dead. */
const info = {
  reason: 'rejected',
  queue: 'q',
  subscription: null,
  attempts: 3,
  firstFailedAt: new Date(1_000),
  lastFailedAt: new Date(2_000),
  error: { name: 'Error', message: 'no', stack: 'at' },
  host: 'h',
} as const

/** What a reader finds of what a writer wrote. */
async function onDisk(parts: RecordParts): Promise<LogRecord> {
  const answer = {
    topic: 'q',
    partition: 3,
    error: 0,
    highWatermark: 1,
    logStart: 0,
    aborted: [],
    records: encodeBatch([parts], 'none'),
  }
  return (await decodeBatches(answer, 0)).records[0] as LogRecord
}
const foreign = (more: Partial<RecordParts>): RecordParts => ({
  timestamp: 5,
  key: null,
  value: Buffer.from('x'),
  headers: [],
  ...more,
})

describe('a message on the wire', () => {
  it('comes back with every field', async () => {
    const given = message({
      headers: { tenant: 'ä', 'mq-codec': 'x', empty: '' },
      contentEncoding: 'gzip',
      correlationId: 'c',
      replyTo: 'r',
      routingKey: 'a.b',
      key: 'k',
      deduplicationId: 'd',
      priority: 7,
      expiresAt: 1_800_000_000_000,
      deliveryCount: 2,
      redriven: true,
    })
    const { raw, position, address, redeliveries, deadLetter, firstFailedAt, ...read } = decodeRecord(
      await onDisk(encodeMessage(given, undefined, undefined)),
    )
    const { destination, delayMs, sendToken, ...expected } = given
    expect(read).toEqual(expected)
    expect([position, address, redeliveries, deadLetter, firstFailedAt]).toEqual([
      undefined,
      undefined,
      0,
      undefined,
      undefined,
    ])
    expect(raw).toMatchObject({ topic: 'q', partition: 3, offset: 0 })
  })

  it('of a stranger comes out as something', async () => {
    const read = decodeRecord(
      await onDisk(
        foreign({
          key: Buffer.from([0xff, 0xfe]),
          headers: ['n', '1', 'n', '2', 'bin', Buffer.from([0xff])],
        }),
      ),
    )
    expect(read).toMatchObject({
      id: 'q/3/0',
      timestamp: 5,
      contentType: undefined,
      key: '//4=',
      headers: { n: '2', bin: '/w==' },
    })
    expect((read.raw as { headers: object }).headers).toEqual({
      n: [Buffer.from('1'), Buffer.from('2')],
      bin: Buffer.from([0xff]),
    })
  })

  it('may have headers of any name', async () => {
    const names = ['constructor', '__proto__', 'toString']
    const { raw } = decodeRecord(await onDisk(foreign({ headers: names.flatMap((name) => [name, name]) })))
    const { headers } = raw as { headers: object }
    expect(Object.entries(headers)).toEqual(names.map((name) => [name, Buffer.from(name)]))
  })

  it.each([
    ['priority', '300', { priority: 255 }],
    ['priority', 'high', { priority: 0 }],
    ['mq-expires-at', '-5', { expiresAt: undefined }],
    ['mq-attempt', '1e9', { deliveryCount: 0 }],
    ['mq-dead-reason', 'rejected', {}],
    ['kafka_correlationId', 'c', { correlationId: 'c' }],
    ['contentType', 'text/html', { contentType: 'text/html' }],
  ])('takes %s: %s of a stranger for what it can be', async (name, value, expected) => {
    expect(decodeRecord(await onDisk(foreign({ headers: [name, value] })))).toMatchObject(expected)
  })

  it('without a value has an empty body, and says so', async () => {
    expect(decodeRecord(await onDisk(foreign({ value: null })))).toMatchObject({
      body: Buffer.alloc(0),
      headers: { 'mq-null': '1' },
    })
  })

  it('keeps a time that no record can have', async () => {
    expect(
      decodeRecord(await onDisk(encodeMessage(message({ timestamp: -1.5 }), undefined, undefined))).timestamp,
    ).toBe(-1.5)
  })
})

describe('a copy', () => {
  it('for a retry counts once more, waits, and keeps bytes that are no text', async () => {
    const first = await onDisk(
      foreign({ headers: ['bin', Buffer.from([0xff]), 'mq-attempt', '1', 'mq-deliver-at', '3'] }),
    )
    const copy = await onDisk(encodeRetry(first, 2, 50, 9_000))
    expect(deliverAtOf(copy)).toBe(9_000)
    expect(decodeRecord(copy)).toMatchObject({
      id: 'q/3/0',
      deliveryCount: 2,
      firstFailedAt: 50,
      headers: { bin: '/w==' },
    })
    expect((decodeRecord(copy).raw as { headers: object }).headers).toMatchObject({
      bin: Buffer.from([0xff]),
    })
  })

  it('of a record of the latest time there is can be written', async () => {
    const records = encodeBatch([foreign({})], 'none')
    records.writeBigInt64BE(2n ** 63n - 1n, 27)
    const answer = { topic: 'q', partition: 3, error: 0, highWatermark: 1, logStart: 0, aborted: [], records }
    const first = (await decodeBatches(answer, 0)).records[0] as LogRecord
    for (const copy of [encodeAsIs(first), encodeRetry(first, 1, 1, 1), encodeDead(first, info, undefined)])
      expect((await onDisk(copy)).value).toEqual(Buffer.from('x'))
  })

  it('for the dead says why, and neither waits, expires nor has failed yet', async () => {
    const sent = await onDisk(encodeMessage(message({ expiresAt: 99, key: 'k' }), 77, undefined))
    const first = await onDisk(encodeRetry(sent, 2, 1_000, 77))
    const copy = await onDisk(encodeDead(first, info, undefined))
    expect(deliverAtOf(copy)).toBe(0)
    expect(decodeRecord(copy)).toMatchObject({
      id: 'id-1',
      key: 'k',
      expiresAt: undefined,
      deliveryCount: 0,
      firstFailedAt: undefined,
      deadLetter: info,
    })
  })

  it('says until when its queue keeps it, and is over then', async () => {
    const sent = await onDisk(encodeMessage(message({ expiresAt: 99 }), 77, undefined))
    const until = async (at: number) => decodeRecord(await onDisk(encodeDead(sent, info, at)))
    expect((await until(1_234)).expiresAt).toBe(1_234)
    expect(isOver(await until(1_234))).toBe(true)
    expect(isOver(await until(Date.now() + 60_000))).toBe(false)
    // What is no dead letter is core's to give up on.
    expect(isOver(decodeRecord(sent))).toBe(false)
  })
})

describe('a removal', () => {
  it('names offsets before its own: whoever wrote it, what comes later is not lost', async () => {
    expect(removalOf({ ...(await onDisk(encodeRemoval([4, 7, 9]))), offset: 9 })).toEqual([4, 7])
  })
  it('is not mistaken for a message without a value', async () => {
    expect(removalOf(await onDisk(foreign({ value: null })))).toBeNull()
    expect(removalOf(await onDisk(foreign({ headers: ['mq-removed', '1'] })))).toBeNull()
  })
})
