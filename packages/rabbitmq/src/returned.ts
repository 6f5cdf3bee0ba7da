import type { Message } from 'amqplib'
import { isDeepStrictEqual } from 'node:util'
import type { Entry, Item } from './lane.ts'

/**
 * Which of the messages under way this one is, that no queue took. A returned message has no number: it is told by all that it is, since ids may be given
 * twice. Of those that are equal in everything it may be any. A server may be set up to add to what it takes: then the id decides.
 */
export function returnedEntry(entries: Iterable<Entry>, message: Message): Entry | undefined {
  let first: Entry | undefined
  for (const entry of entries) {
    if (entry.returned || !isCalled(entry.item, message)) continue
    if (isEqual(entry.item, message)) return entry
    first ??= entry
  }
  return first
}

function isCalled({ exchange, routingKey, mandatory, properties }: Item, message: Message): boolean {
  const { fields, properties: back } = message
  return (
    mandatory &&
    routingKey === fields.routingKey &&
    exchange === fields.exchange &&
    (properties.messageId ?? undefined) === (back.messageId ?? undefined)
  )
}

const COMPARED = [
  'contentType',
  'contentEncoding',
  'priority',
  'correlationId',
  'replyTo',
  'expiration',
  'timestamp',
  'type',
  'appId',
] as const

function isEqual({ properties, body }: Item, { properties: back, content }: Message): boolean {
  if (!content.equals(body)) return false
  for (const name of COMPARED) if ((properties[name] ?? undefined) !== (back[name] ?? undefined)) return false
  const given = Object.entries(properties.headers ?? {}).filter(([, value]) => value !== undefined)
  const came = (back.headers ?? {}) as Record<string, unknown>
  return (
    given.length === Object.keys(came).length &&
    given.every(([name, value]) => isDeepStrictEqual(value, came[name]))
  )
}
