import { deepStrictEqual, fail } from 'node:assert/strict'
import { inspect, types } from 'node:util'
import { Message, type DeadLetterInfo, type MessageQueue, type QueueRef, type TopicRef } from '@mq/core'

/** What happened on a queue since `record`, in order, and plain assertions about it. A topic's subscriptions go by the topic's name. */
export interface Recorder {
  /** Copies, made once the broker has them: the sender may change its object afterwards. */
  readonly sent: readonly Message[]
  /** Runs of handlers that succeeded. */
  readonly handled: readonly Message[]
  /** Runs that failed, with what they threw. */
  readonly failed: readonly { readonly message: Message; readonly error: unknown }[]
  readonly deadLettered: readonly { readonly message: Message; readonly info: DeadLetterInfo }[]
  /**
   * Throws, listing what there was, unless a message was sent to `queue` (with this body, when one is given; of a JSON body, what
   * JSON makes of it). `queue`, or topic: its name, or as it is defined.
   */
  assertSent(queue: QueueRef | TopicRef, body?: unknown): void
  assertHandled(queue: QueueRef | TopicRef, body?: unknown): void
  /** `reason`: `rejected`, `max-retries`, … Default: any. */
  assertDeadLettered(queue: QueueRef | TopicRef, reason?: string): void
}

/** Records what `queue` sends and handles from now on. */
export function record(queue: MessageQueue): Recorder {
  const sent: Message[] = []
  const handled: Message[] = []
  const failed: { message: Message; error: unknown }[] = []
  const deadLettered: { message: Message; info: DeadLetterInfo }[] = []
  queue.addMiddleware({
    name: 'record',
    async send(message, next) {
      const id = await next()
      sent.push(copyOf(message))
      return id
    },
    async process(message, next) {
      try {
        const result = await next()
        handled.push(message)
        return result
      } catch (error) {
        failed.push({ message, error })
        throw error
      }
    },
  })
  queue.on('deadLetter', (message, info) => deadLettered.push({ message, info }))

  const assertAmong = (what: string, messages: readonly Message[], queueName: string, wanted: unknown[]) => {
    const there = messages.filter((message) => message.queueName === queueName)
    if (wanted.length === 0 ? there.length > 0 : there.some((message) => has(message, wanted[0]))) return
    const list = messages.map(({ queueName: name, body }) => `  ${name}: ${shown(body)}`).join('\n')
    const which = wanted.length === 0 ? '' : ` with the body ${shown(wanted[0])}`
    fail(`no message of ${queueName}${which} was ${what}; these were:\n${list || '  none'}`)
  }
  return {
    sent,
    handled,
    failed,
    deadLettered,
    assertSent: (ref, ...body) => assertAmong('sent', sent, nameOf(ref), body),
    assertHandled: (ref, ...body) => assertAmong('handled', handled, nameOf(ref), body),
    assertDeadLettered(ref, reason) {
      const name = nameOf(ref)
      if (deadLettered.some(({ info }) => info.queue === name && (reason ?? info.reason) === info.reason))
        return
      const list = deadLettered.map(({ info }) => `  ${info.queue}: ${info.reason}`).join('\n')
      fail(
        `no message of ${name} was dead-lettered${reason === undefined ? '' : ` as ${reason}`}; these were:\n${list || '  none'}`,
      )
    },
  }
}

/** What a message carries: of a subscription, the topic. */
function nameOf(ref: QueueRef | TopicRef): string {
  if (typeof ref === 'string') return ref
  return 'topic' in ref ? ref.topic : ref.name
}

function shown(body: unknown): string {
  return inspect(body, { depth: 8, breakLength: Infinity })
}

/** With whatever else a middleware keeps on it. */
function copyOf(message: Message): Message {
  return Object.assign(new Message(), message, { headers: { ...message.headers }, body: bodyOf(message) })
}

function bodyOf(message: Message): unknown {
  const { body } = message
  // Of its own kind: a Buffer stays one.
  if (types.isUint8Array(body)) return Uint8Array.prototype.slice.call(body)
  if (isJson(message)) return asJson(body)
  try {
    return structuredClone(body)
  } catch {
    // A format of the user's own may take what cannot be copied.
    return body
  }
}

/** Whether a message has this body, as far as bytes and JSON can tell two bodies from each other. */
function has(message: Message, wanted: unknown): boolean {
  const { body } = message
  if (types.isUint8Array(body) && types.isUint8Array(wanted)) return Buffer.compare(body, wanted) === 0
  return equal(body, wanted) || (isJson(message) && equal(asJson(body), asJson(wanted)))
}

function isJson({ contentType }: Message): boolean {
  return /^application\/([^;]+\+)?json\b/i.test(contentType)
}

/** What arrives of a body; itself, where JSON has no form for it. */
function asJson(body: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(body)) as unknown
  } catch {
    return body
  }
}

function equal(a: unknown, b: unknown): boolean {
  try {
    deepStrictEqual(a, b)
    return true
  } catch {
    return false
  }
}
