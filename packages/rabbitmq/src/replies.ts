import { Buffer } from 'node:buffer'
import type { Channel, ConsumeMessage, Message } from 'amqplib'
import { randomUUID } from 'node:crypto'
import { AdapterError, type Receiver, type SettleOutcome } from '@mq/core/adapter'
import { closeCause, closeChannel, closeQuietly, type Connection } from './connection.ts'
import { replyCode } from './errors.ts'
import { createInbox, type Inbox } from './inbox.ts'
import { DIRECT, own } from './names.ts'
import { decode } from './wire.ts'

/** Erlang's external term format: a version, a process of a node whose name is an atom, and numbers. https://www.erlang.org/doc/apps/erts/erl_ext_dist.html */
const TERM = 131
const PROCESS_BYTES: Readonly<Record<number, number>> = { 88: 12, 103: 9 }
const NAME_LENGTH_BYTES: Readonly<Record<number, number>> = { 119: 1, 115: 1, 118: 2, 100: 2 }

/**
 * Whether an answer may be sent there. An address that a foreign client made up, and that the server cannot read as its own (`prefix.process.key`), makes
 * it close the whole connection (541), and again for every attempt.
 */
export function answerable(address: string): boolean {
  // No queue is called that: bytes that are no UTF-8 are read as longer text.
  if (address.length > 85 && Buffer.byteLength(address) > 255) return false
  const parts = address.startsWith(`${DIRECT}.`) ? address.slice(DIRECT.length + 1).split('.') : []
  // Anything else goes nowhere, and is confirmed.
  if (parts.length !== 2) return true
  const term = Buffer.from(parts[0] as string, 'base64')
  if (term.toString('base64') !== parts[0] || term[0] !== TERM) return false
  const rest = PROCESS_BYTES[term[1] ?? 0]
  const lengthBytes = NAME_LENGTH_BYTES[term[2] ?? 0]
  if (rest === undefined || lengthBytes === undefined || term.length < 3 + lengthBytes) return false
  return term.length === 3 + lengthBytes + term.readUIntBE(3, lengthBytes) + rest
}

interface Replies {
  readonly address: string
  readonly receiver: Receiver
}

/** A place for answers, which goes with its connection. */
export async function openReplies(connection: Connection): Promise<Replies> {
  // Older servers take an answer to direct reply-to at a node that is down for a mistake of their own, and end the whole connection of who answers (541), again
  // for every attempt at the request.
  if (connection.version.atLeast(4)) return listen(connection, direct)
  try {
    return await listen(connection, atQueue)
  } catch (error) {
    // A user who may not make queues.
    if (replyCode(error) !== 403) throw error
    return listen(connection, direct)
  }
}

async function listen(
  connection: Connection,
  begin: (channel: Channel, inbox: Inbox) => Promise<string>,
): Promise<Replies> {
  const channel = await connection.channel('publish')
  const inbox = createInbox()
  let closed = false
  channel.on('close', () => {
    closed = true
    inbox.fail(closeCause(channel))
  })
  try {
    const address = await connection.rpc(begin(channel, inbox), 'opening a place for answers')
    const settled = (n: number): Promise<SettleOutcome[]> =>
      Promise.resolve(Array.from({ length: n }, () => 'settled' as const))
    const unsupported = (n: number): Promise<SettleOutcome[]> =>
      Promise.resolve(
        Array.from({ length: n }, () => ({
          error: new AdapterError('MQ_UNSUPPORTED', 'an answer comes once'),
        })),
      )
    return {
      address,
      receiver: {
        receive: (max, signal, waitMs = 1000) => inbox.take(max, signal, waitMs),
        ack: (deliveries) => settled(deliveries.length),
        renew: (deliveries) => settled(deliveries.length),
        release: (deliveries) => unsupported(deliveries.length),
        retry: (deliveries) => unsupported(deliveries.length),
        deadLetter: (deliveries) => unsupported(deliveries.length),
        async close(signal) {
          if (!closed) await closeChannel(channel, signal)
        },
      },
    }
  } catch (error) {
    if (!closed) closeQuietly(channel)
    throw error
  }
}

/** A queue of its own. */
async function atQueue(channel: Channel, inbox: Inbox): Promise<string> {
  const address = own.replies(randomUUID())
  await channel.assertQueue(address, { exclusive: true, autoDelete: true, durable: false })
  await take(channel, address, inbox)
  return address
}

/**
 * Direct reply-to. The server writes the address behind the name into messages that are published on the same channel: so one is
 * published that nobody takes and that comes back with it, and the requests then carry the address from any channel.
 */
async function direct(channel: Channel, inbox: Inbox): Promise<string> {
  await take(channel, DIRECT, inbox)
  const returned = new Promise<Message>((resolve, reject) => {
    channel.once('return', resolve)
    channel.once('close', () => reject(closeCause(channel) as Error))
  })
  channel.publish('', `mq:nobody:${randomUUID()}`, Buffer.alloc(0), { mandatory: true, replyTo: DIRECT })
  const { properties } = await returned
  return String(properties.replyTo)
}

async function take(channel: Channel, name: string, inbox: Inbox): Promise<void> {
  const taken = (raw: ConsumeMessage | null): void => {
    if (raw !== null) return inbox.push(decode(raw, name, undefined))
    inbox.fail(new AdapterError('MQ_UNAVAILABLE', 'the place for answers is gone', { retryable: true }))
  }
  await channel.consume(name, taken, { noAck: true })
}
