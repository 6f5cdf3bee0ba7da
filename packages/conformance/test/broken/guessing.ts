import type { BrokerAdapter, OutboundMessage } from '@mq/core/adapter'
import { EVERY_WAY, onPublish, type Broken } from './broken.ts'

/** Changes each header's value. */
const onHeader =
  (change: (value: string) => string): Broken['fault'] =>
  (inner) =>
    onPublish(inner, (message) => ({
      ...message,
      headers: Object.fromEntries(
        Object.entries(message.headers).map(([name, value]) => [name, change(value)]),
      ),
    }))

const onField =
  (change: (message: OutboundMessage) => Partial<OutboundMessage>): Broken['fault'] =>
  (inner: BrokerAdapter) =>
    onPublish(inner, (message) => ({ ...message, ...change(message) }))

const BOM = Buffer.from([0xef, 0xbb, 0xbf])

/** What ends when a message is dead is not compared there. */
const ALIVE = EVERY_WAY.filter((id) => !/-(dead|dropped|expired|reply)$/.test(id))

/** What goes by a field, and so by what tells two of its values apart. */
const TELLING_APART: Partial<Record<keyof OutboundMessage, readonly string[]>> = {
  key: ['order.slow-key'],
  deduplicationId: ['extras.dedupe-same'],
}

/** Faults that show in values which look like something else, or like more than they are. */
export const guessing: readonly Broken[] = [
  {
    name: 'takes header values that look like numbers for such',
    fault: onHeader((value) =>
      value !== '' && Number.isFinite(Number(value)) ? String(Number(value)) : value,
    ),
    fails: [...EVERY_WAY, 'payload.header-edges'],
  },
  {
    name: 'takes header values that look like JSON for such',
    fault: onHeader((value) => {
      try {
        return JSON.stringify(JSON.parse(value))
      } catch {
        return value
      }
    }),
    fails: [...EVERY_WAY, 'payload.header-edges'],
  },
  {
    name: 'composes the characters of headers',
    fault: onHeader((value) => value.normalize('NFC')),
    fails: [...EVERY_WAY, 'payload.header-edges'],
  },
  {
    name: 'takes white space off an id',
    fault: onField(({ id }) => ({ id: id.trim() })),
    fails: EVERY_WAY,
  },
  {
    name: 'cuts headers at 4096 characters',
    fault: onHeader((value) => value.slice(0, 4096)),
    fails: EVERY_WAY,
  },
  {
    name: 'loses headers whose names are digits',
    fault: onField(({ headers }) => ({
      headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !/^\d+$/.test(name))),
    })),
    fails: [...EVERY_WAY, 'payload.header-edges'],
  },
  {
    name: 'loses headers whose names begin as those of brokers do',
    fault: onField(({ headers }) => ({
      headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !/^x-/i.test(name))),
    })),
    fails: [...EVERY_WAY, 'payload.header-edges'],
  },
  ...(['id', 'key', 'correlationId', 'deduplicationId', 'replyTo', 'contentType'] as const).map((field) => ({
    name: `lower-cases the ${field}`,
    fault: onField((message) => ({ [field]: message[field]?.toLowerCase() })),
    fails: [...(field === 'replyTo' ? ALIVE : EVERY_WAY), ...(TELLING_APART[field] ?? [])],
  })),
  ...(['key', 'correlationId', 'deduplicationId', 'replyTo'] as const).map((field) => ({
    name: `cuts the ${field} at 64 characters`,
    fault: onField((message) => ({ [field]: message[field]?.slice(0, 64) })),
    fails:
      field === 'replyTo'
        ? ALIVE
        : [...EVERY_WAY, ...(field === 'deduplicationId' ? ['extras.dedupe-same'] : [])],
  })),
  {
    name: 'takes the parameters off a content type',
    fault: onField(({ contentType }) => ({ contentType: contentType.replace(/;.*/, '') })),
    fails: EVERY_WAY,
  },
  {
    name: 'takes a byte order mark off a body',
    fault: onField(({ body }) => ({ body: BOM.equals(body.subarray(0, 3)) ? body.subarray(3) : body })),
    fails: EVERY_WAY,
  },
  {
    name: 'takes zeros off the end of a long body',
    fault: onField(({ body }) => {
      let end = body.length
      while (end > 1000 && body[end - 1] === 0) end--
      return { body: body.subarray(0, end) }
    }),
    fails: [...EVERY_WAY, 'contract.large-ways'],
  },
  {
    name: 'takes a timestamp of 0 for none',
    fault: onField(({ timestamp }) => ({ timestamp: timestamp || Date.now() })),
    fails: ['contract.fields'],
  },
  {
    name: 'keeps the seconds of a timestamp in 32 bits',
    fault: onField(({ timestamp }) => ({ timestamp: Math.min(timestamp, 2 ** 32 * 1000) })),
    fails: ['contract.fields'],
  },
  {
    name: 'cuts answers at 64 KiB',
    fault: onField(({ destination, body }) =>
      'reply' in destination ? { body: body.subarray(0, 65_536) } : {},
    ),
    fails: ['contract.fields-reply', 'request.result', 'contract.large-ways'],
  },
]
