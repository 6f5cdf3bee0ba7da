import { type Buffer } from 'node:buffer'
import {
  AdapterError,
  type DeadLetterInfo,
  type Receiver,
  type SettleOutcome,
  type Target,
} from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import type { Argument, Reply } from './link.ts'
import { MARK_MS } from './publisher.ts'
import { scripts } from './scripts/index.ts'
import { digits, failureFields, type Held } from './wire.ts'

/** Fields that a dead letter does not keep. */
const LEFT_BEHIND = new Set(['attempt', 'redeliveries', 'expires-at', 'mq-first-failed-at', 'mq-redriven'])

/** As `WIDEST` in the scripts. */
const MOST_VALUES = 7_900

/**
 * Dead letters to a queue in another slot of a cluster: no script reaches both, so the copy is made first and the original acknowledged once it is safe.
 * A crash in between leaves two, never none. Whoever holds it has a whole lease for that: what belongs to somebody else by now is not copied.
 */
export async function moveAcross(
  connection: Connection,
  receiver: Receiver,
  from: string,
  deliveries: readonly Held[],
  failures: readonly DeadLetterInfo[],
  base: string,
  target: Target,
): Promise<readonly SettleOutcome[]> {
  const name = 'queue' in target ? target.queue : target.subscription
  const held = await receiver.renew(deliveries)
  return Promise.all(
    deliveries.map(async (delivery, i): Promise<SettleOutcome> => {
      const mine = held[i] as SettleOutcome
      if (mine !== 'settled') return mine
      const why = failureFields(failures[i] as DeadLetterInfo)
      const raw = delivery.raw as readonly Reply[]
      const fields = (Array.isArray(raw[2]) ? raw[2] : raw[1]) as readonly Buffer[]
      try {
        const mark = `${from}${delivery.lane}.${delivery.entryId}.${delivery.count}`
        if (!(await copyAcross(connection, fields, why, mark, base, name))) {
          return { error: deadLetterFull() }
        }
      } catch (error) {
        return { error }
      }
      return (await receiver.ack([delivery]))[0] as SettleOutcome
    }),
  )
}

export function deadLetterFull(): AdapterError {
  return new AdapterError('MQ_QUEUE_FULL', 'the dead-letter queue is full')
}

/** Of a foreign client's message: no script can store it again. */
export function tooManyFields(): AdapterError {
  return new AdapterError('MQ_MESSAGE_TOO_LARGE', 'the message has too many fields to be stored again')
}

/** False: the dead-letter queue is full. */
export async function copyAcross(
  connection: Connection,
  fields: readonly Buffer[],
  why: readonly string[],
  mark: string,
  base: string,
  name: string,
): Promise<boolean> {
  const own = new Set(why.filter((_, at) => at % 2 === 0))
  const copy: Argument[] = []
  // Where that queue is ordered or has priorities.
  let priority = '0'
  let key: Argument = ''
  for (let f = 0; f + 1 < fields.length; f += 2) {
    const field = String(fields[f])
    if (field === 'key') key = fields[f + 1] as Buffer
    if (field === 'priority') priority = String(Math.min(digits(fields[f + 1] as Buffer) || 0, 255))
    if (!LEFT_BEHIND.has(field) && !own.has(field)) copy.push(fields[f] as Buffer, fields[f + 1] as Buffer)
  }
  copy.push(...why)
  // The script would end halfway, after its mark.
  if (copy.length > MOST_VALUES) throw tooManyFields()
  await connection.run(scripts.declare, base, ['', '', '', 'p', '1', 'nm', name, 'implicit', '1'])
  // Retention of a dead-letter queue goes by the server's clock, as in the script for one in the same slot.
  const [ttl, time] = await Promise.all([
    connection.send(base, ['HGET', `${base}meta`, 'mt']),
    connection.send(base, ['TIME']),
  ])
  let expires = '0'
  if (ttl !== null) {
    expires = String(Number((time as readonly Buffer[])[0]) * 1_000 + Number(ttl))
    copy.push('expires-at', expires)
  }
  const call: Argument[] = ['q', mark, '1', MARK_MS, `${mark},1`, '0', String(copy.length)]
  call.push('x', priority, '0', expires, key, '')
  return (await connection.publish(scripts.publish, base, [...call, ...copy])) === 1
}
