import type { Destination, DeclareTarget, Target } from '@mq/core/adapter'

/**
 * All keys of one queue begin with its base, `{mq:orders}:`. The braces are the hash tag: on a cluster they share a slot, so that each
 * transition is one script. A dead-letter queue called `orders.dlq` lives under the tag of `orders` for the same reason.
 */
export interface Keys {
  queue(name: string): string
  subscription(topic: string, name: string): string
  /** Hash of a topic: subscription → pattern. */
  topic(name: string): string
  reply(address: string): string
  target(target: Target): string
  /** Base of what is declared. Not the hash of a topic: a cluster refuses a script whose key is not there while the slot moves, before it has begun. */
  declared(target: DeclareTarget): string
  destination(destination: Destination): string
  /** Where `ping` proves that the server takes writes. Each number is in another slot. */
  health(n: number): string
}

const DEAD = '.dlq'

export function createKeys(prefix: string): Keys {
  const bases = new Map<string, string>()
  const compute = (name: string): string => {
    let owner = name
    let suffix = ''
    while (owner.endsWith(DEAD) && owner.length > DEAD.length) {
      owner = owner.slice(0, -DEAD.length)
      suffix += 'dlq:'
    }
    return `{${prefix}:${owner}}:${suffix}`
  }
  const queue = (name: string): string => {
    const known = bases.get(name)
    if (known !== undefined) return known
    // Reply queues and generated names would otherwise pile up.
    if (bases.size >= 10_000) bases.clear()
    const base = compute(name)
    bases.set(name, base)
    return base
  }
  const subscription = (topic: string, name: string): string => `{${prefix}:${topic}}:g:${name}:`
  const topicBase = (name: string): string => `{${prefix}:${name}}:`
  const reply = (address: string): string => `{${prefix}:${address}}:`
  const target = (to: Target): string =>
    'queue' in to ? queue(to.queue) : subscription(to.topic, to.subscription)
  return {
    queue,
    subscription,
    topic: (name) => `${topicBase(name)}topic`,
    reply,
    target,
    declared: (to) => ('queue' in to || 'subscription' in to ? target(to) : topicBase(to.topic)),
    destination: (to) => {
      if ('queue' in to) return queue(to.queue)
      if ('reply' in to) return reply(to.reply)
      return 'subscription' in to ? subscription(to.topic, to.subscription) : topicBase(to.topic)
    },
    health: (n) => `{${prefix}${n === 0 ? '' : `.${n}`}}:health`,
  }
}

/** Base of where the scripts park dead letters for a queue in another slot: as in the remove script. */
export function parkedAt(base: string): string {
  return `${base}parked:`
}

/** The part of a key that decides its slot; two keys with one tag may be used in one script on a cluster. */
export function hashTag(key: string): string {
  const open = key.indexOf('{')
  if (open < 0) return key
  const close = key.indexOf('}', open + 1)
  return close > open + 1 ? key.slice(open + 1, close) : key
}
