import { AdapterError, ErrorCode, type OutboundMessage, type PublishOutcome } from '../adapter/index.ts'
import type { MemoryBroker } from './broker.ts'
import type { Connection } from './connection.ts'
import type { QueueStore } from './queue.ts'

const STORED: PublishOutcome = Object.freeze({ ok: true })

/** Stores each message in every queue that its destination means, then wakes who waits there. */
export function publish(
  broker: MemoryBroker,
  connection: Connection,
  batch: readonly OutboundMessage[],
  signal: AbortSignal,
): PublishOutcome[] {
  const outcomes = new Array<PublishOutcome>(batch.length)
  const first = batch[0] as OutboundMessage
  const toTopic = 'topic' in first.destination && !('subscription' in first.destination)
  try {
    connection.check()
    if (signal.aborted)
      throw new AdapterError(ErrorCode.ABORTED, 'the call was aborted before anything was stored')
    if (toTopic) publishToTopic(broker, batch, outcomes)
    else {
      // A batch has one destination, which is one queue, or the place of a requester who may be gone.
      const [store] = broker.route(first.destination, first)
      if (store === undefined) return outcomes.fill(STORED)
      for (let i = 0; i < batch.length; i++) {
        const verdict = store.store(batch[i] as OutboundMessage)
        outcomes[i] = verdict === 'full' ? full(store) : STORED
      }
      store.wake()
    }
  } catch (error) {
    const outcome: PublishOutcome = { ok: false, error, certainty: 'not-stored' }
    for (let i = 0; i < batch.length; i++) outcomes[i] ??= outcome
  }
  return outcomes
}

function publishToTopic(
  broker: MemoryBroker,
  batch: readonly OutboundMessage[],
  outcomes: PublishOutcome[],
): void {
  let stores: QueueStore[] = []
  for (let i = 0; i < batch.length; i++) {
    const message = batch[i] as OutboundMessage
    if (i === 0 || message.routingKey !== batch[i - 1]?.routingKey) {
      wake(stores)
      stores = broker.route(message.destination, message)
    }
    outcomes[i] = copy(stores, message)
  }
  wake(stores)
}

/** To all of them or, when it does not fit into one, to none: `not-stored` has to be true. */
function copy(stores: readonly QueueStore[], message: OutboundMessage): PublishOutcome {
  const verdicts = stores.map((store) => store.judge(message))
  const refusing = stores[verdicts.indexOf('full')]
  if (refusing !== undefined) return full(refusing)
  for (let i = 0; i < stores.length; i++) if (verdicts[i] === 'stored') stores[i]?.put(message)
  return STORED
}

function full({ name, settings: { maxLength, maxLengthBytes } }: QueueStore): PublishOutcome {
  const limits = [
    maxLength === null ? [] : `${maxLength} messages`,
    maxLengthBytes === null ? [] : `${maxLengthBytes} bytes`,
  ]
  const error = new AdapterError(
    ErrorCode.QUEUE_FULL,
    `${name} is full: it holds at most ${limits.flat().join(' and ')}`,
  )
  return { ok: false, error, certainty: 'not-stored' }
}

function wake(stores: readonly QueueStore[]): void {
  for (const each of stores) each.wake()
}
