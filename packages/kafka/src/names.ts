import { createHash } from 'node:crypto'
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

/** Most characters of a topic's name. */
const LONGEST = 249

export function namesOf(target: Target, groupId: string | undefined): Names {
  if ('queue' in target)
    return {
      main: topicOf(target.queue),
      later: fitting(target.queue, '.delay'),
      // One group for all would make each consumer of one queue a matter of all others, and could not be removed with its queue.
      group: `${groupId ?? 'mq'}.${target.queue}`,
      mainIsShared: false,
    }
  const { topic, subscription } = target
  // No name of a queue holds a colon: a queue `a.b` and a subscription `b` of `a` stay apart.
  return {
    main: topic,
    later: fitting(`${topic}.${subscription}`, `.retry${suffixOf(subscription)}`),
    group: `${groupId ?? 'mq'}.${topic}:${subscription}`,
    mainIsShared: true,
  }
}

/** Whether a topic keeps what waits for another one. */
export function isLater(topic: string): boolean {
  return /\.(delay|retry(-\d+)?)$/.test(topic)
}

/** The topic of a queue. That of a subscription's dead letters has two names in its own. */
export function topicOf(queue: string): string {
  const end = queue.endsWith('.dlq') ? '.dlq' : ''
  return fitting(queue.slice(0, queue.length - end.length), end)
}

/** Two long names together are cut, and kept apart by a hash; the end says what it is. */
function fitting(name: string, end: string): string {
  const room = LONGEST - end.length
  if (name.length <= room) return `${name}${end}`
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return `${name.slice(0, room - hash.length - 1)}-${hash}${end}`
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
