import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import {
  AdapterError,
  type OutboundMessage,
  type PublishOutcome,
  type Target,
  untilAborted,
} from '@mq/core/adapter'
import { withShared } from './abort.ts'
import { createTurns } from './caller.ts'
import type { Connection } from './connection.ts'
import { blockedReason, classify, isReply, neverSent, notFound, replyCode } from './errors.ts'
import type { Keys } from './keys.ts'
import type { Argument, Reply } from './link.ts'
import { scripts } from './scripts/index.ts'
import { encodeValues, fieldNames, layoutOf } from './wire.ts'

/** One script call: long ones would hold up everybody else on the server. */
const MOST_MESSAGES = 200
const MOST_BYTES = 1024 * 1024

/** Fields of one message. Lua unpacks no more than 8,000 values, twice as many as fields, and Redis takes no command of more than 2^20. */
const MOST_FIELDS = 2_500

/** How long a publisher's mark lives after its last call, in ms: longer than core goes on repeating a send, unless its `deliveryTimeoutMs` is greater. */
export const MARK_MS = '600000'

/** Error replies that come before anything was written. */
const REFUSALS = new Set([
  'OOM',
  'MISCONF',
  'READONLY',
  'LOADING',
  'NOAUTH',
  'NOPERM',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'BUSY',
  'NOREPLICAS',
])

const nothing = (): void => undefined

const STORED: PublishOutcome = { ok: true }

type Failed = Extract<PublishOutcome, { ok: false }>

export interface Publisher {
  publish(batch: readonly OutboundMessage[], signal: AbortSignal): Promise<readonly PublishOutcome[]>
}

export interface PublisherSetup {
  readonly keys: Keys
  connection(): Connection
  /** A message was delayed by so many ms on the queue with this base. */
  delayed(base: string, delayMs: number): void
  blocked(reason: string): void
}

interface Attempt {
  readonly publisher: string
  /** Another one once the call has to be sent again. */
  sequence: number
}

/** A call whose outcome is not known. */
interface Unknown {
  readonly attempts: readonly Attempt[]
  /** The last of these. */
  readonly answer: Promise<Reply>
  /** How many messages it has. */
  readonly size: number
  /** Monotonic time of the last attempt, in ms. */
  readonly at: number
}

export function createPublisher(setup: PublisherSetup): Publisher {
  /** First token of a call whose outcome is not known → every attempt at it. The oldest come first. */
  const unknown = new Map<string, Unknown>()
  const turns = createTurns(randomUUID())

  const remember = (token: string, call: Unknown): void => {
    unknown.delete(token)
    unknown.set(token, call)
    for (const [oldest, { at }] of unknown) {
      if (unknown.size <= 10_000 && call.at - at <= Number(MARK_MS)) break
      unknown.delete(oldest)
    }
  }

  const publishChunk = async (
    connection: Connection,
    chunk: readonly OutboundMessage[],
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> => {
    const first = chunk[0] as OutboundMessage
    const to = first.destination
    const key = setup.keys.destination(to)
    const mode = 'reply' in to ? 'r' : 'queue' in to ? 'q' : 'subscription' in to ? 's' : 't'
    const token = first.sendToken
    const known = unknown.size === 0 ? undefined : unknown.get(token)
    let attempts = known?.attempts
    if (known !== undefined) {
      // Its own answer may still come, or have come when nobody waited any more: nothing knows better.
      try {
        const reply = await untilAborted(known.answer, signal)
        unknown.delete(token)
        return outcomes(chunk, reply)
      } catch (error) {
        if (signal.aborted)
          return chunk.map(() => ({ ok: false, error: signal.reason as unknown, certainty: 'unknown' }))
        if (isReply(error)) attempts = known.attempts.slice(0, -1)
      }
    }
    const caller = connection.publisher
    const turn =
      caller === null ? turns.take(key) : { name: caller.name, number: caller.next(key), done: nothing }
    const publisher = turn.name
    const attempt: Attempt = { publisher, sequence: turn.number }
    const checks = attempts?.map((a) => `${a.publisher},${a.sequence}`).join(';') ?? ''
    const args: Argument[] = [mode, publisher, String(attempt.sequence), MARK_MS, checks]
    const soonest = encodeBatch(chunk, args)
    if (soonest === null) {
      turn.done()
      return publishNarrow(connection, chunk, signal)
    }
    const call = connection.publish(scripts.publish, key, args, () => {
      // Behind the marks of later calls it would look as if it had run.
      attempt.sequence = caller?.next(key) ?? 1
      args[2] = String(attempt.sequence)
    })
    try {
      const reply = await untilAborted(call, signal)
      if (attempts !== undefined) unknown.delete(token)
      else turn.done()
      if (soonest !== Number.POSITIVE_INFINITY) setup.delayed(key, soonest)
      return outcomes(chunk, reply)
    } catch (error) {
      const reason = blockedReason(error)
      if (reason !== null) setup.blocked(reason)
      const refused = neverSent(error) || REFUSALS.has(replyCode(error) ?? '')
      if (!refused && !isReply(error)) {
        const all = [...(attempts ?? []), attempt]
        remember(token, { attempts: all, answer: call, size: chunk.length, at: performance.now() })
      }
      return chunk.map(() => ({ ok: false, error, certainty: refused ? 'not-stored' : 'unknown' }))
    }
  }

  /** Some have more fields than a script can store, and would end it halfway: they are refused here. */
  const publishNarrow = async (
    connection: Connection,
    chunk: readonly OutboundMessage[],
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> => {
    const narrow = chunk.filter((message) => fieldNames(message).length <= MOST_FIELDS)
    const rest = narrow.length === 0 ? [] : [...(await publishChunk(connection, narrow, signal))]
    return chunk.map((message) =>
      fieldNames(message).length <= MOST_FIELDS ? (rest.shift() as PublishOutcome) : tooManyFields(),
    )
  }

  /** Messages with a key: none is stored before an earlier one that may come again. So what follows a chunk that failed is not sent, and shares its fate. */
  const publishInTurn = async (
    connection: Connection,
    all: readonly (readonly OutboundMessage[])[],
    signal: AbortSignal,
  ): Promise<readonly (readonly PublishOutcome[])[]> => {
    const parts: (readonly PublishOutcome[])[] = []
    let failed: Failed | undefined
    for (const chunk of all) {
      if (failed === undefined) {
        const part = await publishChunk(connection, chunk, signal)
        failed = part.find(comesAgain)
        parts.push(part)
      } else parts.push(refuseAll(chunk, failed.error))
    }
    return parts
  }

  return {
    async publish(batch, signal) {
      if (signal.aborted) return refuseAll(batch, signal.reason)
      const connection = setup.connection()
      // What is repeated may be parts of several calls: the others were stored, or refused.
      const again = unknown.size > 0 && batch.some(({ sendToken }) => unknown.has(sendToken))
      if (batch.length <= MOST_MESSAGES && !again) {
        let bytes = 0
        for (const message of batch) bytes += message.body.length
        if (bytes <= MOST_BYTES) return publishChunk(connection, batch, signal)
      }
      const parts = await withShared(signal, (shared) => {
        const all = chunks(batch, (token) => unknown.get(token)?.size)
        if (batch.some((message) => message.key !== undefined)) return publishInTurn(connection, all, shared)
        return Promise.all(all.map((chunk) => publishChunk(connection, chunk, shared)))
      })
      return parts.flat()
    },
  }
}

/** What was one call, of so many messages from this one on, is one again: so a repetition meets the marks of its first attempt, and nothing else does. */
function chunks(
  batch: readonly OutboundMessage[],
  sizeOf: (token: string) => number | undefined,
): (readonly OutboundMessage[])[] {
  const out: (readonly OutboundMessage[])[] = []
  const at = (index: number): OutboundMessage => batch[index] as OutboundMessage
  for (let from = 0, to: number; from < batch.length; from = to) {
    const size = sizeOf(at(from).sendToken)
    to = from + (size ?? 1)
    if (size === undefined) {
      const end = Math.min(batch.length, from + MOST_MESSAGES)
      let bytes = at(from).body.length
      while (to < end && sizeOf(at(to).sendToken) === undefined) {
        bytes += at(to).body.length
        if (bytes > MOST_BYTES) break
        to++
      }
    }
    out.push(batch.slice(from, to))
  }
  return out
}

function refuseAll(batch: readonly OutboundMessage[], error: unknown): readonly PublishOutcome[] {
  return batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
}

/** Whether core may publish the message again: after an error that passes, an unknown outcome, or when it has made the missing queue. */
function comesAgain(outcome: PublishOutcome): outcome is Failed {
  if (outcome.ok) return false
  const { code, retryable } = classify(outcome.error)
  return retryable || code === 'MQ_QUEUE_NOT_FOUND' || outcome.certainty === 'unknown'
}

function tooManyFields(): PublishOutcome {
  const error = new AdapterError(
    'MQ_MESSAGE_TOO_LARGE',
    `a message on Redis has at most ${MOST_FIELDS} fields, headers included`,
  )
  return { ok: false, error, certainty: 'not-stored' }
}

/** What the script's answer means for each message. */
function outcomes(chunk: readonly OutboundMessage[], reply: Reply): readonly PublishOutcome[] {
  if (reply === 1) return chunk.map(() => STORED)
  if (reply === 0) {
    // Of a topic or a reply place the script says that all is stored.
    return refuseAll(chunk, notFound((chunk[0] as OutboundMessage).destination as Target))
  }
  if (!Array.isArray(reply)) {
    return refuseAll(
      chunk,
      new AdapterError('MQ_CONNECTION', 'the call was overtaken by its own repetition', { retryable: true }),
    )
  }
  return reply.map((status) =>
    status === 1
      ? STORED
      : { ok: false, error: new AdapterError('MQ_QUEUE_FULL', 'the queue is full'), certainty: 'not-stored' },
  )
}

/** Appends what the publish script takes for its messages; answers the shortest delay among them, or `null`: one has too many fields. */
function encodeBatch(chunk: readonly OutboundMessage[], args: Argument[]): number | null {
  const first = chunk[0] as OutboundMessage
  const layout = layoutOf(first)
  let uniform = true
  let simple = true
  let soonest = Number.POSITIVE_INFINITY
  for (const message of chunk) {
    if (uniform && message !== first && layoutOf(message) !== layout) uniform = false
    if (simple && !isSimple(message)) simple = false
    if (message.delayMs > 0 && message.delayMs < soonest) soonest = message.delayMs
  }
  if (uniform) {
    const names = fieldNames(first)
    if (names.length > MOST_FIELDS) return null
    args.push(String(names.length), ...names, simple ? '' : 'x')
    for (const message of chunk) {
      if (!simple) pushOptions(message, args)
      encodeValues(message, args)
    }
    return soonest
  }
  args.push('0')
  for (const message of chunk) {
    const names = fieldNames(message)
    if (names.length > MOST_FIELDS) return null
    const plain = isSimple(message)
    args.push(String(names.length * 2), plain ? '' : 'x')
    if (!plain) pushOptions(message, args)
    const values: Argument[] = []
    encodeValues(message, values)
    names.forEach((name, i) => args.push(name, values[i] as Argument))
  }
  return soonest
}

function isSimple(m: OutboundMessage): boolean {
  return (
    m.priority === 0 &&
    m.delayMs === 0 &&
    m.expiresAt === undefined &&
    m.key === undefined &&
    (m.deduplicationId === undefined || m.redriven)
  )
}

function pushOptions(m: OutboundMessage, args: Argument[]): void {
  args.push(
    String(m.priority),
    String(Math.ceil(m.delayMs)),
    String(Math.ceil(m.expiresAt ?? 0)),
    m.key ?? '',
    m.redriven ? '' : (m.deduplicationId ?? ''),
  )
}
