import type { DeclareTarget, Destination, Target } from '@mq/core/adapter'

/** Topics and groups of a queue or subscription. */
export interface Names {
  /** What others write to: the queue's or the topic's own name. */
  readonly main: string
  /** What waits or was given to this one alone: retries and delays; for a subscription redrives too. */
  readonly later: string
  readonly group: string
  /** Other groups read `main` as well: what is for this one alone has no place there. */
  readonly mainIsShared: boolean
}

/** Answers to every requester, told apart by an address in a header. */
export const REPLY_TOPIC = 'mq.replies'
export const REPLY_PARTITIONS = 8

export function namesOf(target: Target, groupId: string | undefined): Names {
  if ('queue' in target)
    return {
      main: target.queue,
      later: `${target.queue}.delay`,
      // One group for all would make each consumer of one queue a matter of all others, and could not be removed with its queue.
      group: `${groupId ?? 'mq'}.${target.queue}`,
      mainIsShared: false,
    }
  const { topic, subscription } = target
  // No name of a queue holds a colon: a queue `a.b` and a subscription `b` of `a` stay apart.
  return {
    main: topic,
    later: `${topic}.${subscription}.retry${suffixOf(subscription)}`,
    group: `${groupId ?? 'mq'}.${topic}:${subscription}`,
    mainIsShared: true,
  }
}

/** Where the subscription's name begins, unless it is behind the last dot: `a` with `b.c` and `a.b` with `c` stay apart. */
function suffixOf(subscription: string): string {
  const parts = subscription.split('.').length
  return parts === 1 ? '' : `-${parts}`
}

/** How the names of all subscriptions' groups of a topic begin. */
export function groupPrefix(topic: string, groupId: string | undefined): string {
  return `${groupId ?? 'mq'}.${topic}:`
}

export function isTarget(target: DeclareTarget): target is Target {
  return 'queue' in target || 'subscription' in target
}

export function nameOf(target: DeclareTarget | Destination): string {
  if ('queue' in target) return `queue "${target.queue}"`
  if ('reply' in target) return 'the requester'
  return 'subscription' in target
    ? `subscription "${target.subscription}" of "${target.topic}"`
    : `topic "${target.topic}"`
}
