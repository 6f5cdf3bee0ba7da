import { Buffer } from 'node:buffer'
import type { Channel, ConfirmChannel, Message } from 'amqplib'
import { performance } from 'node:perf_hooks'
import type { PublishOutcome } from '@mq/core/adapter'
import { closeCause, closeQuietly, type Connection } from './connection.ts'
import { createFrames, type Frames } from './frames.ts'
import { blame, isRefusal, outcomeOf, STORED, unencodable } from './outcomes.ts'
import { returnedEntry } from './returned.ts'
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

export interface Entry {
  readonly item: Item
  returned: boolean
}

interface Open {
  readonly channel: ConfirmChannel | Channel
  /** Null: the client writes all messages. */
  readonly frames: Frames | null
  readonly since: number
  /** Written and not answered. */
  readonly entries: Set<Entry>
  /** How many of the entries nobody waits for: they take no room in the window, and are known should they be returned. */
  abandoned: number
  /** Calls that wrote on it and are not over. */
  calls: number
  full: boolean
  /** Calls that wait for room, first come first served: each goes on, and answers whether it waits no more. */
  readonly waiting: (() => boolean)[]
  /** They are about to be served. */
  stirred: boolean
  closed: boolean
  /** No call begins on it any more; closed by us, once those that did are over. */
  retired: boolean
  /** When it is closed whatever is under way. */
  deadline: NodeJS.Timeout | undefined
}

/** The client's own part: what hears of the next confirm that nobody waits for yet. */
interface Confirming {
  pushConfirmCallback(confirmed: (error: unknown) => void): void
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

/** A channel whose messages are refused is used at least so long: a full queue refuses every one. */
const LEAST_USE_MS = 1_000

/** A channel is replaced when nobody waits any more for so many of its messages: each is kept until there is an answer, which may never come. */
const MOST_ABANDONED = 200

/** A channel that was replaced is closed after so long at the latest. What has no answer by then is unknown, and is repeated by who still waits. */
const RETIRED_MS = 60_000

export function createLane(connection: Connection, window: number, confirms: boolean): Lane {
  let opening: Promise<Open> | null = null
  let current: Open | null = null
  const mostAbandoned = Math.min(window, MOST_ABANDONED)

  const serve = (lane: Open): void => {
    const waiting = lane.waiting.splice(0)
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next()) continue
      lane.waiting.push(next)
      // Nobody overtakes the first; only what did not begin on a channel that was replaced goes elsewhere.
      if (!lane.retired) break
    }
    lane.waiting.push(...waiting)
  }

  /** A server confirms many at once: what waits goes on once for all of them. */
  const stir = (lane: Open): void => {
    if (lane.stirred || lane.waiting.length === 0 || !hasRoom(lane)) return
    lane.stirred = true
    queueMicrotask(() => {
      lane.stirred = false
      serve(lane)
    })
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
      frames: createFrames(channel),
      since,
      entries: new Set(),
      abandoned: 0,
      calls: 0,
      full: false,
      waiting: [],
      stirred: false,
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
      serve(lane)
    })
    channel.on('close', () => {
      // The client has failed the callbacks of what was not confirmed; without confirms nobody waits.
      gone(lane)
      serve(lane)
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
    serve(lane)
  }

  const close = (lane: Open): void => {
    gone(lane)
    closeQuietly(lane.channel)
    serve(lane)
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

  /** Writes one message, at the latest with the next `flush`. */
  const put = (lane: Open, item: Item, confirmed: (error: unknown) => void): void => {
    const { channel, frames } = lane
    const { exchange, routingKey, properties, body } = item
    if (frames?.add(item) === true) {
      if (confirms) (channel as unknown as Confirming).pushConfirmCallback(confirmed)
      return
    }
    if (frames?.flush() === false) lane.full = true
    if (item.mandatory) properties.mandatory = true
    const room = confirms
      ? (channel as ConfirmChannel).publish(exchange, routingKey, bytes(body), properties, confirmed)
      : channel.publish(exchange, routingKey, bytes(body), properties)
    if (!room) lane.full = true
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
          if (call.lane !== null) serve(call.lane)
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
        /** Answers whether there is nothing more to wait for here. */
        const pump = (lane: Open): boolean => {
          if (call.lane === null && (lane.closed || lane.retired)) {
            proceed()
            return true
          }
          const from = call.written
          while (call.written < items.length && !call.over && !lane.closed && hasRoom(lane)) {
            const index = call.written++
            writeOne(lane, items[index] as Item, index)
          }
          if (lane.frames?.flush() === false) lane.full = true
          if (!confirms)
            for (let i = from; i < call.written; i++) if (outcomes[i] === undefined) settle(i, STORED)
          if (lane.closed && !call.over) refuseRest((item) => blame(item, closeCause(lane.channel)))
          return call.written === items.length || call.over
        }
        const proceed = (): void => {
          if (current === null) ready().then(enter, (error: unknown) => refuseRest(() => error))
          else enter(current)
        }
        const enter = (lane: Open): void => {
          if (lane.waiting.length > 0 || !pump(lane)) lane.waiting.push(() => pump(lane))
        }
        const writeOne = (lane: Open, item: Item, index: number): void => {
          const entry: Entry = { item, returned: false }
          const confirmed = (error: unknown): void => {
            lane.entries.delete(entry)
            if (call.over) lane.abandoned--
            else call.pending--
            if (error !== null) {
              if (isRefusal(error)) {
                if (performance.now() - lane.since >= LEAST_USE_MS) retire(lane)
              } else gone(lane)
            }
            settle(index, outcomeOf(lane.channel, entry, error))
            stir(lane)
          }
          try {
            if (confirms) lane.entries.add(entry)
            put(lane, item, confirmed)
            if (confirms) call.pending++
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
