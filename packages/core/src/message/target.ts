import type { DeclareTarget, Target } from '../adapter/contract.ts'

/** Tells targets apart in maps: `orders`, `prices/` for a topic, `prices/chart` for a subscription. No name holds a slash. */
export function keyOf(target: DeclareTarget): string {
  if ('queue' in target) return target.queue
  return 'subscription' in target ? `${target.topic}/${target.subscription}` : `${target.topic}/`
}

/** Names a target for people. */
export function labelOf(target: DeclareTarget): string {
  return 'topic' in target && !('subscription' in target) ? `topic ${target.topic}` : keyOf(target)
}

/** Where a message came from, as messages and dead letters say it: the queue, or the topic and its subscription. */
export function sourceOf(target: Target): {
  readonly queueName: string
  readonly subscription: string | null
} {
  return 'queue' in target
    ? { queueName: target.queue, subscription: null }
    : { queueName: target.topic, subscription: target.subscription }
}
