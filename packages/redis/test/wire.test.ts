import { describe, expect, it } from '@jest/globals'
import { outbound } from '@mq/conformance/fixtures'
import { decode, encodeValues, fieldNames, layoutOf } from '../src/wire.ts'

const ID = Buffer.from('1700000000000-3')

function fields(pairs: Record<string, string | Buffer>): Buffer[] {
  return Object.entries(pairs).flatMap(([name, value]) => [Buffer.from(name), Buffer.from(value)])
}

const read = (list: Buffer[]) => decode('0', ID, list, 1, 0, null, false)

describe('the wire form', () => {
  it('gives back every field that it was given', () => {
    const sent = outbound(
      { queue: 'q' },
      {
        body: Buffer.from([0, 255, 13, 10]),
        headers: { 'a/b': '../"', tenant: 'ä', traceparent: '00-1-2-01', '': 'empty name' },
        contentEncoding: 'gzip',
        correlationId: 'c',
        replyTo: 'r',
        routingKey: 'a.b',
        key: 'k',
        deduplicationId: 'd',
        priority: 255,
        expiresAt: 1_800_000_000_000,
        deliveryCount: 2,
        redriven: true,
      },
    )
    const values: (string | Buffer)[] = []
    encodeValues(sent, values)
    const names = fieldNames(sent)
    expect(values).toHaveLength(names.length)
    const got = read(names.flatMap((name, i) => [Buffer.from(name), Buffer.from(values[i] as string)]))
    for (const field of [
      'id',
      'timestamp',
      'headers',
      'contentType',
      'contentEncoding',
      'correlationId',
      'replyTo',
      'routingKey',
      'key',
      'deduplicationId',
      'priority',
      'expiresAt',
      'deliveryCount',
      'redriven',
    ] as const) {
      expect(got[field]).toEqual(sent[field])
    }
    expect(Buffer.compare(got.body, sent.body)).toBe(0)
  })

  it('gives back a timestamp before 1970', () => {
    expect(read(fields({ ts: '-86400001', body: 'x' })).timestamp).toBe(-86_400_001)
    expect(read(fields({ ts: '-', body: 'x' })).timestamp).toBe(1_700_000_000_000)
  })

  it('keeps the order of names whatever the order of headers', () => {
    const names = fieldNames(outbound({ queue: 'q' }, { headers: { b: '1', a: '2' }, key: 'k' }))
    expect(names).toEqual(['id', 'ts', 'body', 'content-type', 'key', 'h:a', 'h:b'])
  })

  it('tells layouts apart', () => {
    const plain = layoutOf(outbound({ queue: 'q' }))
    expect(layoutOf(outbound({ queue: 'q' }))).toBe(plain)
    expect(layoutOf(outbound({ queue: 'q' }, { key: 'k' }))).not.toBe(plain)
    expect(layoutOf(outbound({ queue: 'q' }, { headers: { a: '1' } }))).not.toBe(
      layoutOf(outbound({ queue: 'q' }, { headers: { b: '1' } })),
    )
  })

  it('takes an entry with a body alone', () => {
    const got = read(fields({ body: '{"a":1}', 'h:user': '42' }))
    expect(got).toMatchObject({
      id: '1700000000000-3',
      timestamp: 1_700_000_000_000,
      headers: { user: '42' },
      contentType: undefined,
      deliveryCount: 0,
    })
  })

  it('takes the only field of a foreign entry as its body', () => {
    const got = read(fields({ payload: 'hello' }))
    expect(got.body.toString()).toBe('hello')
    expect(got.headers).toEqual({})
  })

  it('makes a JSON object of several foreign fields', () => {
    const got = read(fields({ sensor: 'a', value: '1' }))
    expect(JSON.parse(got.body.toString())).toEqual({ sensor: 'a', value: '1' })
    expect(got.contentType).toBe('application/json')
    expect(got.headers).toEqual({})
  })

  it('survives nonsense in control fields', () => {
    const got = read(
      fields({
        body: 'x',
        ts: 'yesterday',
        attempt: '-1',
        priority: '9999',
        'expires-at': 'never',
        redeliveries: 'x',
        'mq-unknown': '1',
      }),
    )
    expect(got).toMatchObject({
      timestamp: 1_700_000_000_000,
      deliveryCount: 0,
      priority: 255,
      expiresAt: undefined,
      redeliveries: 0,
      headers: {},
    })
  })

  it('shows a header that is no text as base64', () => {
    expect(read(fields({ body: 'x', 'h:bin': Buffer.from([0xff, 0xfe]) })).headers).toEqual({ bin: '//4=' })
  })
})
