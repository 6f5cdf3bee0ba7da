import { AdapterError, type OutboundMessage, type PublishOutcome } from '@mq/core/adapter'
import { untilAborted, withShared } from './abort.ts'
import type { Connection } from './connection.ts'
import { blockedReason, classify, isReply, neverSent, replyCode } from './errors.ts'
import type { Keys } from './keys.ts'
import type { Argument, Reply } from './link.ts'
import { scripts } from './scripts/index.ts'
import { encodeValues, fieldNames, layoutOf } from './wire.ts'

/** One script call: long ones would hold up everybody else on the server. */
const MOST_MESSAGES = 200
const MOST_BYTES = 1024 * 1024

/** Fields of one message. Lua unpacks no more than 8,000 values, twice as many as fields, and Redis takes no command of more than 2^20. */
const MOST_FIELDS = 2_500

/** How long a publisher's mark lives after its last call; of a mark per call: longer than core goes on repeating a send. */
const MARK_MS = '600000'

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
  sequence(): number
  readonly call: Promise<Reply>
}

export function createPublisher(setup: PublisherSetup): Publisher {
  /** First token of a call whose outcome is not known → every attempt at it. */
  const unknown = new Map<string, Attempt[]>()

  const remember = (token: string, attempts: Attempt[]): void => {
    unknown.delete(token)
    unknown.set(token, attempts)
    if (unknown.size > 10_000) unknown.delete(unknown.keys().next().value as string)
  }

  const publishChunk = async (
    connection: Connection,
    chunk: readonly OutboundMessage[],
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> => {
    const first = chunk[0] as OutboundMessage
    const to = first.destination
    const key = setup.keys.destination(to)
    const mode = 'reply' in to ? 'r' : 'topic' in to && !('subscription' in to) ? 't' : 'q'
    const token = first.sendToken
    let attempts = unknown.size === 0 ? undefined : unknown.get(token)
    const last = attempts?.at(-1)
    if (last !== undefined && attempts !== undefined) {
      // Its own answer may still come, or have come when nobody waited any more: nothing knows better.
      try {
        const reply = await untilAborted(last.call, signal)
        unknown.delete(token)
        return outcomes(chunk, reply)
      } catch (error) {
        if (signal.aborted)
          return chunk.map(() => ({ ok: false, error: signal.reason as unknown, certainty: 'unknown' }))
        if (isReply(error)) attempts = attempts.slice(0, -1)
      }
    }
    const caller = connection.publisher
    const publisher = caller?.name ?? `${token.replace(/[^A-Za-z0-9-]/g, '_')}.${attempts?.length ?? 0}`
    let number = caller?.next(key) ?? 1
    const checks = attempts?.map((a) => `${a.publisher},${a.sequence()}`).join(';') ?? ''
    const args: Argument[] = [mode, publisher, String(number), MARK_MS, checks]
    const soonest = encodeBatch(chunk, args)
    if (soonest === null) return publishNarrow(connection, chunk, signal)
    const call = connection.publish(scripts.publish, key, args, () => {
      // Behind the marks of later calls it would look as if it had run.
      number = caller?.next(key) ?? 1
      args[2] = String(number)
    })
    try {
      const reply = await untilAborted(call, signal)
      if (attempts !== undefined) unknown.delete(token)
      if (soonest !== Number.POSITIVE_INFINITY) setup.delayed(key, soonest)
      return outcomes(chunk, reply)
    } catch (error) {
      const reason = blockedReason(error)
      if (reason !== null) setup.blocked(reason)
      const refused = neverSent(error) || REFUSALS.has(replyCode(error) ?? '')
      if (!refused && !isReply(error))
        remember(token, [...(attempts ?? []), { publisher, sequence: () => number, call }])
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
      if (batch.length <= MOST_MESSAGES) {
        let bytes = 0
        for (const message of batch) bytes += message.body.length
        if (bytes <= MOST_BYTES) return publishChunk(connection, batch, signal)
      }
      const parts = await withShared(signal, (shared) => {
        const all = chunks(batch)
        if (batch.some((message) => message.key !== undefined)) return publishInTurn(connection, all, shared)
        return Promise.all(all.map((chunk) => publishChunk(connection, chunk, shared)))
      })
      return parts.flat()
    },
  }
}

/** The same messages always fall into the same chunks, so that a repetition meets the marks of its first attempt. */
function chunks(batch: readonly OutboundMessage[]): OutboundMessage[][] {
  const out: OutboundMessage[][] = []
  let chunk: OutboundMessage[] = []
  let bytes = 0
  for (const message of batch) {
    if (chunk.length > 0 && (chunk.length >= MOST_MESSAGES || bytes + message.body.length > MOST_BYTES)) {
      out.push(chunk)
      chunk = []
      bytes = 0
    }
    chunk.push(message)
    bytes += message.body.length
  }
  if (chunk.length > 0) out.push(chunk)
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
    const to = (chunk[0] as OutboundMessage).destination
    const name =
      'queue' in to
        ? `queue "${to.queue}"`
        : 'subscription' in to
          ? `subscription "${to.subscription}" of "${to.topic}"`
          : 'the destination'
    return refuseAll(chunk, new AdapterError('MQ_QUEUE_NOT_FOUND', `${name} does not exist`))
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
