import type { Message } from 'amqplib'
import { randomUUID } from 'node:crypto'
import { AdapterError, type Receiver, type SettleOutcome } from '@mq/core/adapter'
import { closeCause, closeChannel, closeQuietly, type Connection } from './connection.ts'
import { createInbox } from './inbox.ts'
import { decode } from './wire.ts'

/** The server's own place for answers: no queue at all. https://www.rabbitmq.com/docs/direct-reply-to */
const DIRECT = 'amq.rabbitmq.reply-to'

/**
 * Answers over direct reply-to. The server writes the address behind the name into messages that are published on the same channel: so one is
 * published that nobody takes and that comes back with it, and the requests then carry the address from any channel.
 */
export async function openReplies(
  connection: Connection,
): Promise<{ readonly address: string; readonly receiver: Receiver }> {
  const channel = await connection.channel('publish')
  const inbox = createInbox()
  let closed = false
  channel.on('close', () => {
    closed = true
    inbox.fail(closeCause(channel))
  })
  try {
    const address = await connection.rpc(learnAddress(), 'opening a place for answers')
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

  async function learnAddress(): Promise<string> {
    await channel.consume(
      DIRECT,
      (raw) => {
        if (raw !== null) inbox.push(decode(raw, DIRECT, undefined))
      },
      { noAck: true },
    )
    const returned = new Promise<Message>((resolve, reject) => {
      channel.once('return', resolve)
      channel.once('close', () => reject(closeCause(channel) as Error))
    })
    channel.publish('', `mq:nobody:${randomUUID()}`, Buffer.alloc(0), { mandatory: true, replyTo: DIRECT })
    const { properties } = await returned
    return String(properties.replyTo)
  }
}
