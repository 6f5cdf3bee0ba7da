import { deepStrictEqual, fail } from 'node:assert/strict'
import { inspect } from 'node:util'
import type { DeadLetterInfo, Message, MessageQueue } from '@mq/core'

/** What happened on a queue since `record`, in order, and plain assertions about it. A topic's subscriptions go by the topic's name. */
export interface Recorder {
  readonly sent: readonly Message[]
  /** Runs of handlers that succeeded. */
  readonly handled: readonly Message[]
  /** Runs that failed, with what they threw. */
  readonly failed: readonly { readonly message: Message; readonly error: unknown }[]
  readonly deadLettered: readonly { readonly message: Message; readonly info: DeadLetterInfo }[]
  /** Throws, listing what there was, unless a message was sent to `queueName` (with this body, when one is given). */
  assertSent(queueName: string, body?: unknown): void
  assertHandled(queueName: string, body?: unknown): void
  /** `reason`: `rejected`, `max-retries`, … Default: any. */
  assertDeadLettered(queueName: string, reason?: string): void
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
      sent.push(message)
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
    if (wanted.length === 0 ? there.length > 0 : there.some(({ body }) => equal(body, wanted[0]))) return
    const list = messages.map(({ queueName: name, body }) => `  ${name}: ${shown(body)}`).join('\n')
    const which = wanted.length === 0 ? '' : ` with the body ${shown(wanted[0])}`
    fail(`no message of ${queueName}${which} was ${what}; these were:\n${list || '  none'}`)
  }
  return {
    sent,
    handled,
    failed,
    deadLettered,
    assertSent: (name, ...body) => assertAmong('sent', sent, name, body),
    assertHandled: (name, ...body) => assertAmong('handled', handled, name, body),
    assertDeadLettered(name, reason) {
      if (deadLettered.some(({ info }) => info.queue === name && (reason ?? info.reason) === info.reason))
        return
      const list = deadLettered.map(({ info }) => `  ${info.queue}: ${info.reason}`).join('\n')
      fail(
        `no message of ${name} was dead-lettered${reason === undefined ? '' : ` as ${reason}`}; these were:\n${list || '  none'}`,
      )
    },
  }
}

/** As JSON, where there is some: a body may hold what JSON has no form for, and an expected one anything. */
function shown(body: unknown): string {
  try {
    return JSON.stringify(body) ?? inspect(body)
  } catch {
    return inspect(body)
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
