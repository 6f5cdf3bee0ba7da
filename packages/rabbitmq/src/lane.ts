import { Buffer } from 'node:buffer'
import type { Channel, ConfirmChannel, Message } from 'amqplib'
import { performance } from 'node:perf_hooks'
import { types } from 'node:util'
import { AdapterError, type PublishOutcome } from '@mq/core/adapter'
import { closeCause, closeQuietly, type Connection } from './connection.ts'
import { replyCode } from './errors.ts'
import type { Properties } from './wire.ts'

/** One message as it is written. */
export interface Item {
  readonly exchange: string
  readonly routingKey: string
  readonly body: Uint8Array
  /** Of this message alone: what the lane decides is added. */
  readonly properties: Properties
  /** Refused when no queue takes it. */
  readonly mandatory: boolean
  /** Whether the queue may be full, which is what a refusal means then; `undefined`: not known. */
  readonly limited: boolean | undefined
}

/** A channel that publishes, with a bounded number of messages that are not confirmed yet. */
export interface Lane {
  /** Opens it ahead of the first message. */
  open(): Promise<void>
  /** Writes all, in order; answers when all are confirmed, returned or refused, or on abort with what is known by then. */
  write(items: readonly Item[], signal: AbortSignal): Promise<readonly PublishOutcome[]>
}

interface Entry {
  readonly item: Item
  returned: boolean
}

interface Open {
  readonly channel: ConfirmChannel | Channel
  readonly since: number
  /** Written and not answered. */
  readonly entries: Set<Entry>
  /** How many of the entries nobody waits for: they take no room in the window, and are known should they be returned. */
  abandoned: number
  /** Calls that wrote on it and are not over. */
  calls: number
  full: boolean
  closed: boolean
  /** No call begins on it any more; closed by us, once those that did are over. */
  retired: boolean
  /** When it is closed whatever is under way. */
  deadline: NodeJS.Timeout | undefined
}

/** One call of `write`. */
interface Call {
  /** Where its first message was written, and where all others are: what goes on elsewhere may overtake those before it. */
  lane: Open | null
  written: number
  /** Written and not answered. */
  pending: number
  over: boolean
}

const STORED: PublishOutcome = { ok: true }

/** A channel whose messages are refused is used at least so long: a full queue refuses every one. */
const LEAST_USE_MS = 1_000

/** A channel is replaced when nobody waits any more for so many of its messages: each is kept until there is an answer, which may never come. */
const MOST_ABANDONED = 200

/** A channel that was replaced is closed after so long at the latest. What has no answer by then is unknown, and is repeated by who still waits. */
const RETIRED_MS = 60_000

export function createLane(connection: Connection, window: number, confirms: boolean): Lane {
  let opening: Promise<Open> | null = null
  let current: Open | null = null
  let waiting: (() => void)[] = []
  const mostAbandoned = Math.min(window, MOST_ABANDONED)

  const wake = (): void => {
    if (waiting.length === 0) return
    const woken = waiting
    waiting = []
    for (const go of woken) go()
  }

  const hasRoom = (lane: Open): boolean => !lane.full && lane.entries.size - lane.abandoned < window

  const leave = (lane: Open): void => {
    if (current !== lane) return
    current = null
    opening = null
  }

  const gone = (lane: Open): void => {
    lane.closed = true
    clearTimeout(lane.deadline)
    leave(lane)
  }

  const open = async (): Promise<Open> => {
    const channel = confirms ? await connection.confirmChannel() : await connection.channel('publish')
    const since = performance.now()
    const lane: Open = {
      channel,
      since,
      entries: new Set(),
      abandoned: 0,
      calls: 0,
      full: false,
      closed: false,
      retired: false,
      deadline: undefined,
    }
    channel.on('return', (message: Message) => {
      // Comes before the confirm of the same message.
      const entry = returnedEntry(lane.entries, message)
      if (entry !== undefined) entry.returned = true
    })
    channel.on('drain', () => {
      lane.full = false
      wake()
    })
    channel.on('close', () => {
      // The client has failed the callbacks of what was not confirmed; without confirms nobody waits.
      gone(lane)
      wake()
    })
    current = lane
    return lane
  }

  /**
   * No other call is written on it. The server's side of a channel that reached a quorum queue between two leaders can go on refusing every message for that
   * queue, long after there is a new leader; only a new channel looks for it.
   */
  const retire = (lane: Open): void => {
    if (lane.retired || lane.closed) return
    lane.retired = true
    leave(lane)
    if (lane.calls === 0) close(lane)
    else lane.deadline = setTimeout(close, RETIRED_MS, lane).unref()
    wake()
  }

  const close = (lane: Open): void => {
    gone(lane)
    closeQuietly(lane.channel)
    wake()
  }

  const begin = (call: Call, lane: Open): void => {
    call.lane = lane
    lane.calls++
  }

  const end = (call: Call): void => {
    call.over = true
    const { lane } = call
    if (lane === null) return
    lane.calls--
    lane.abandoned += call.pending
    if (lane.abandoned >= mostAbandoned) retire(lane)
    if (lane.retired && lane.calls === 0 && !lane.closed) close(lane)
  }

  const ready = async (): Promise<Open> => {
    if (current !== null) return current
    opening ??= open()
    try {
      return await opening
    } catch (error) {
      opening = null
      throw error
    }
  }

  return {
    open: async () => void (await ready()),
    write(items, signal) {
      return new Promise((resolve) => {
        const outcomes = new Array<PublishOutcome | undefined>(items.length)
        let left = items.length
        const call: Call = { lane: null, written: 0, pending: 0, over: false }
        const finish = (): void => {
          end(call)
          signal.removeEventListener('abort', abort)
          resolve(outcomes as PublishOutcome[])
        }
        const abort = (): void => {
          if (call.over) return
          const error: unknown = signal.reason
          for (let i = 0; i < items.length; i++)
            outcomes[i] ??= { ok: false, error, certainty: i < call.written ? 'unknown' : 'not-stored' }
          finish()
          wake()
        }
        const settle = (index: number, outcome: PublishOutcome): void => {
          if (call.over) return
          outcomes[index] = outcome
          if (--left === 0) finish()
        }
        const refuseRest = (errorOf: (item: Item) => unknown): void => {
          const from = call.written
          call.written = items.length
          for (let i = from; i < items.length; i++)
            settle(i, { ok: false, error: errorOf(items[i] as Item), certainty: 'not-stored' })
        }
        const pump = (lane: Open): void => {
          while (call.written < items.length && !call.over) {
            if (call.lane === null && (lane.closed || lane.retired)) return void proceed()
            if (lane.closed) return refuseRest((item) => blame(item, closeCause(lane.channel)))
            if (!hasRoom(lane)) {
              waiting.push(() => pump(lane))
              return
            }
            const index = call.written++
            writeOne(lane, items[index] as Item, index)
          }
        }
        const proceed = (): void => {
          if (current !== null) pump(current)
          else ready().then(pump, (error: unknown) => refuseRest(() => error))
        }
        const writeOne = (lane: Open, item: Item, index: number): void => {
          const entry: Entry = { item, returned: false }
          const { properties } = item
          if (item.mandatory) properties.mandatory = true
          try {
            if (!confirms) {
              if (!lane.channel.publish(item.exchange, item.routingKey, bytes(item.body), properties))
                lane.full = true
              if (call.lane === null) begin(call, lane)
              settle(index, STORED)
              return
            }
            lane.entries.add(entry)
            const room = (lane.channel as ConfirmChannel).publish(
              item.exchange,
              item.routingKey,
              bytes(item.body),
              properties,
              (error: unknown) => {
                lane.entries.delete(entry)
                if (call.over) lane.abandoned--
                else call.pending--
                if (isRefusal(error)) {
                  if (performance.now() - lane.since >= LEAST_USE_MS) retire(lane)
                } else if (types.isNativeError(error)) gone(lane)
                settle(index, outcomeOf(lane.channel, entry, error))
                if (waiting.length > 0 && hasRoom(lane)) wake()
              },
            )
            call.pending++
            if (!room) lane.full = true
            if (call.lane === null) begin(call, lane)
          } catch (error) {
            // It could not be encoded, or the channel closed in this very turn: nothing was written.
            lane.entries.delete(entry)
            settle(index, { ok: false, error: unencodable(error), certainty: 'not-stored' })
          }
        }
        if (signal.aborted) return abort()
        signal.addEventListener('abort', abort, { once: true })
        proceed()
      })
    },
  }
}

function bytes(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

function returnedEntry(entries: Iterable<Entry>, { fields, properties }: Message): Entry | undefined {
  for (const entry of entries) {
    const { item } = entry
    if (
      !entry.returned &&
      item.mandatory &&
      item.routingKey === fields.routingKey &&
      item.exchange === fields.exchange &&
      (item.properties.messageId ?? undefined) === (properties.messageId ?? undefined)
    )
      return entry
  }
  return undefined
}

/** The client encodes the properties of a message, headers included, into 64 KiB, and each by itself into what AMQP has for it. */
function unencodable(error: unknown): unknown {
  if (!types.isNativeError(error)) return error
  const tooLarge =
    error.name === 'RangeError'
      ? 'the headers of a message on RabbitMQ take at most 64 KiB, and the name of one 255 bytes'
      : error.name === 'TypeError'
        ? `AMQP has no room for a part of the message: ${error.message}`
        : null
  return tooLarge === null ? error : new AdapterError('MQ_MESSAGE_TOO_LARGE', tooLarge, { cause: error })
}

function isRefusal(error: unknown): boolean {
  return types.isNativeError(error) && error.message === 'message nacked'
}

/** What a confirm, a refusal or the end of the channel says about one message. */
function outcomeOf(channel: Channel, { item, returned }: Entry, error: unknown): PublishOutcome {
  if (error === null || error === undefined) {
    if (!returned) return STORED
    const missing = `there is no queue "${item.routingKey}"`
    return { ok: false, error: new AdapterError('MQ_QUEUE_NOT_FOUND', missing), certainty: 'not-stored' }
  }
  if (isRefusal(error)) {
    if (item.limited === true) {
      // To a topic, other subscriptions may have taken it.
      const certainty = item.exchange === '' ? 'not-stored' : 'unknown'
      return { ok: false, error: new AdapterError('MQ_QUEUE_FULL', 'the queue is full'), certainty }
    }
    if (item.limited === undefined && item.exchange === '') {
      const either = 'the queue, which was not declared here, is full or has no leader'
      const full = new AdapterError('MQ_QUEUE_FULL', either, { retryable: true })
      return { ok: false, error: full, certainty: 'unknown' }
    }
    const refused = new AdapterError(
      'MQ_UNAVAILABLE',
      'RabbitMQ could not store the message: a queue has no leader, or is full by a limit that is not known here',
      {
        retryable: true,
      },
    )
    return { ok: false, error: refused, certainty: 'unknown' }
  }
  return { ok: false, error: blame(item, closeCause(channel)), certainty: 'unknown' }
}

/** Whether an ACCESS_REFUSED names where this message goes: `access to [topic 'a.b' in ]exchange 'x' in vhost '/' refused for user 'u'`. */
function isRefusedTo({ exchange, routingKey }: Item, message: string): boolean {
  if (!message.includes(`exchange '${exchange === '' ? 'amq.default' : exchange}' in vhost`)) return false
  const topic = /access to topic '(.*?)' in exchange/.exec(message)?.[1]
  return topic === undefined || topic === routingKey
}

/** The server closes a channel because of one message; the others on it are none the worse. */
function blame(item: Item, cause: unknown): unknown {
  const code = replyCode(cause)
  const { message } = cause as Error
  if (code === 404 && message.includes(`exchange '${item.exchange}'`))
    return new AdapterError('MQ_QUEUE_NOT_FOUND', `there is no topic "${item.exchange}"`, { cause })
  if (code === 406) {
    const size = /message size (\d+)/.exec(message)?.[1]
    if (size !== undefined && item.body.length >= Number(size)) return cause
  }
  if (code === 403 && isRefusedTo(item, message)) return cause
  return code === null
    ? cause
    : new AdapterError('MQ_CONNECTION', 'the channel was closed', { retryable: true, cause })
}
