import { subscription, type MessageQueue, type QueueRef } from '@mq/core'

export interface IdleOptions {
  /** Queues that must be empty too, although this queue does not consume them. Default: none. */
  readonly queues?: readonly QueueRef[] | undefined
  /** Real ms after which it rejects, saying what is not idle. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

const OPTIONS: readonly string[] = ['queues', 'timeoutMs'] satisfies (keyof IdleOptions)[]

const PAUSE_MS = 5

/** How often in a row it must look idle: a message that is on its way from a server to this process is neither ready nor in flight. */
const LOOKS = { memory: 2, server: 6 } as const

/**
 * Resolves once nothing is ready in what `queue` consumes and nothing is being handled, seen several times in a row. What waits for its
 * delay or its retry counts as idle: let time pass for that (`virtualClock`).
 */
export async function idle(queue: MessageQueue, options: IdleOptions = {}): Promise<void> {
  for (const name in options) {
    if (!OPTIONS.includes(name))
      throw new TypeError(`idle: there is no option ${name}; there are ${OPTIONS.join(', ')}`)
  }
  const { timeoutMs = 10_000, queues = [] } = options
  // A name alone would be looked through letter by letter.
  if (!Array.isArray(queues)) throw new TypeError("idle: queues is an array: { queues: ['orders'] }")
  if (!(timeoutMs >= 0)) throw new TypeError(`idle: timeoutMs is 0 or more; it is ${timeoutMs}`)
  const giveUpAt = performance.now() + timeoutMs
  const { broker } = await queue.healthCheck()
  const looks = broker === 'memory' ? LOOKS.memory : LOOKS.server
  for (let quiet = 0; quiet < looks;) {
    const busy = await whatIsBusy(queue, queues)
    if (busy === null) {
      quiet++
    } else {
      quiet = 0
      if (performance.now() > giveUpAt) throw new Error(`not idle after ${timeoutMs} ms: ${busy}`)
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

async function whatIsBusy(queue: MessageQueue, others: readonly QueueRef[]): Promise<string | null> {
  const { inFlight, activeQueues } = queue.getStats()
  if (inFlight > 0) return `${inFlight} in flight`
  for (const ref of [...activeQueues.map(consumed), ...others]) {
    const size = await queue.getQueueSize(ref)
    if (size > 0) return `${size} ready in ${nameOf(ref)}`
  }
  return null
}

/** Statistics name a subscription `topic/subscription`. */
function consumed(label: string): QueueRef {
  const [topic, name] = label.split('/') as [string, string?]
  return name === undefined ? label : subscription(topic, name)
}

function nameOf(ref: QueueRef): string {
  if (typeof ref === 'string') return ref
  return 'topic' in ref ? `${ref.topic}/${ref.name}` : ref.name
}
