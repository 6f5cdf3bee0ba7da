import {
  AdapterError,
  matchesPattern,
  type Certainty,
  type OutboundMessage,
  type PublishOutcome,
  type Target,
} from '@mq/core/adapter'
import { keyOf, onDelivery, onPublish, onReceiver, sharedMap, type Broken, type Run } from './broken.ts'

interface Subscription {
  readonly target: { readonly topic: string; readonly subscription: string }
  pattern: string
}

const known = ({ shared }: Run) => sharedMap<Subscription>(shared, 'subscriptions')

/**
 * Sends the messages of a topic itself, to the subscriptions that match as it thinks. One that is refused by some of them may be in others:
 * that is `unknown`, unless it says otherwise.
 */
function matching(
  match: (pattern: string, message: OutboundMessage) => boolean,
  certainty: Certainty = 'unknown',
): Broken['fault'] {
  return (inner, run) => {
    const subscriptions = known(run)
    return {
      ...inner,
      async declare(target, declaration) {
        const { pattern = '#' } = declaration
        const answer = await inner.declare(target, declaration)
        if ('subscription' in target && !subscriptions.has(keyOf(target)))
          subscriptions.set(keyOf(target), { target, pattern })
        return answer
      },
      async remove(target) {
        await inner.remove(target)
        for (const [key, each] of subscriptions)
          if (key === keyOf(target) || keyOf({ topic: each.target.topic }) === keyOf(target))
            subscriptions.delete(key)
      },
      async publish(batch, signal) {
        const destination = batch[0]?.destination ?? { queue: '' }
        if (!('topic' in destination) || 'subscription' in destination) return inner.publish(batch, signal)
        const refused = new Map<OutboundMessage, PublishOutcome>()
        for (const { target, pattern } of [...subscriptions.values()]) {
          const copies = batch.filter((message) => match(pattern, message))
          if (target.topic !== destination.topic || copies.length === 0) continue
          const outcomes = await inner.publish(
            copies.map((message) => ({ ...message, destination: target })),
            signal,
          )
          for (const [i, message] of copies.entries()) {
            const outcome = outcomes[i]
            if (outcome?.ok === false) refused.set(message, { ...outcome, certainty })
          }
        }
        return batch.map((message) => refused.get(message) ?? { ok: true })
      },
    }
  }
}

const keyIn = ({ routingKey = '' }: OutboundMessage) => routingKey

/** Whether a key is what a pattern with these in place of `*` and `#` says. */
function asExpression(pattern: string, word: string, words: string, dot = '\\.'): RegExp {
  return new RegExp(`^${pattern.replaceAll('.', dot).replaceAll('*', word).replaceAll('#', words)}$`)
}

/** Faults of topics and their subscriptions. */
export const subscribing: readonly Broken[] = [
  {
    name: 'overwrites the pattern of a subscription that it takes',
    fault(inner, run) {
      const subscriptions = known(run)
      return {
        ...inner,
        async declare(target, declaration) {
          if (!('subscription' in target)) return inner.declare(target, declaration)
          const { pattern = '#', ifExists } = declaration
          const before = subscriptions.get(keyOf(target))
          if (before !== undefined && before.pattern !== pattern && ifExists === 'take') {
            // Those that hold something show nothing of the fault but what was lost by this imitation of it.
            if ((await inner.size(target).catch(() => 1)) > 0) return inner.declare(target, declaration)
            await inner.remove(target)
          }
          subscriptions.set(keyOf(target), { target, pattern })
          return inner.declare(target, declaration)
        },
      }
    },
    fails: ['topics.taken'],
  },
  {
    name: 'matches patterns whatever the case',
    fault: matching((pattern, message) =>
      matchesPattern(pattern.toLowerCase(), keyIn(message).toLowerCase()),
    ),
    fails: ['topics.pattern'],
  },
  {
    name: 'takes # for one word at least',
    fault: matching(
      (pattern, message) => pattern === '#' || asExpression(pattern, '[^.]+', '.+').test(keyIn(message)),
    ),
    fails: ['topics.pattern', 'topics.purge-apart'],
  },
  {
    name: 'takes # for one word at most',
    fault: matching(
      (pattern, message) =>
        pattern === '#' ||
        asExpression(pattern, '[^.]+', '[^.]*').test(keyIn(message)) ||
        matchesPattern(pattern.replaceAll(/\.#|#\./g, ''), keyIn(message)),
    ),
    fails: ['topics.pattern', 'topics.purge-apart'],
  },
  {
    name: 'takes * for any text',
    fault: matching((pattern, message) =>
      pattern.includes('#')
        ? matchesPattern(pattern, keyIn(message))
        : asExpression(pattern, '.+', '').test(keyIn(message)),
    ),
    fails: ['topics.pattern'],
  },
  {
    name: 'takes a dot for any character',
    fault: matching((pattern, message) =>
      pattern.includes('#')
        ? matchesPattern(pattern, keyIn(message))
        : asExpression(pattern, '[^.]+', '', '.').test(keyIn(message)),
    ),
    fails: ['topics.pattern'],
  },
  {
    name: 'routes the first of two that are alike as the one before them',
    fault(inner) {
      return onPublish(inner, (message, i, batch) => {
        const same = i > 0 && message.routingKey === batch[i + 1]?.routingKey
        const topic = 'topic' in message.destination && !('subscription' in message.destination)
        return topic && same ? { ...message, routingKey: batch[i - 1]?.routingKey } : message
      })
    },
    fails: ['topics.pattern', 'extras.limits-call'],
  },
  {
    name: 'delivers what is delayed whatever the pattern',
    fault: matching((pattern, message) => message.delayMs > 0 || matchesPattern(pattern, keyIn(message))),
    fails: ['time.delay-topic'],
  },
  {
    name: 'keeps what nobody subscribed to for the first who does',
    fault(inner, run) {
      const subscriptions = known(run)
      const kept = sharedMap<OutboundMessage[]>(run.shared, 'kept')
      return {
        ...inner,
        async declare(target, declaration) {
          const answer = await inner.declare(target, declaration)
          if (!('subscription' in target)) return answer
          subscriptions.set(target.topic, { target, pattern: '' })
          const messages = kept.get(target.topic) ?? []
          kept.delete(target.topic)
          const { pattern = '#' } = declaration
          const copies = messages.filter((message) => matchesPattern(pattern, keyIn(message)))
          if (copies.length > 0)
            await inner.publish(
              copies.map((message) => ({ ...message, destination: target })),
              new AbortController().signal,
            )
          return answer
        },
        publish(batch, signal) {
          const destination = batch[0]?.destination ?? { queue: '' }
          if ('topic' in destination && !subscriptions.has(destination.topic))
            kept.set(destination.topic, [...(kept.get(destination.topic) ?? []), ...batch])
          return inner.publish(batch, signal)
        },
      }
    },
    fails: ['topics.nobody'],
  },
  {
    name: 'counts all subscriptions of a topic as one',
    fault(inner, run) {
      const whole = matching((pattern, message) => matchesPattern(pattern, keyIn(message)))(inner, run)
      return { ...whole, size: async (target) => sum(await ofTopic(run, target, inner.size)) }
    },
    fails: ['topics.many', 'topics.missing', 'topics.purge-apart'],
  },
  {
    name: 'purges all subscriptions of a topic',
    fault(inner, run) {
      const whole = matching((pattern, message) => matchesPattern(pattern, keyIn(message)))(inner, run)
      return {
        ...whole,
        async purge(target) {
          const count = await inner.purge(target)
          await ofTopic(run, target, inner.purge)
          return count
        },
      }
    },
    fails: ['contract.concurrent-purge', 'topics.purge-apart'],
  },
  {
    name: 'swaps the values of a conflict',
    fault: (inner) => ({
      ...inner,
      declare: (target, declaration) =>
        inner.declare(target, declaration).catch((error: unknown) => {
          if (!(error instanceof AdapterError)) throw error
          const differences = error.differences.map(({ field, existing, requested }) => ({
            field,
            existing: requested,
            requested: existing,
          }))
          throw new AdapterError(error.code, error.message, { differences })
        }),
    }),
    fails: ['queues.conflict'],
  },
  {
    name: 'does not tell who consumes a subscription that its topic was deleted',
    fault: (inner, { clock }) =>
      onReceiver(inner, (receiver, { target }) => ({
        receive: (max, signal, waitMs = 1000) =>
          receiver.receive(max, signal, waitMs).catch((error: unknown) => {
            if (!('topic' in target)) throw error
            return new Promise((resolve) => void clock.setTimeout(() => resolve([]), waitMs))
          }),
      })),
    fails: ['receiver.deleted'],
  },
  {
    name: 'stores in one subscription what another refused, and says not-stored',
    fault: matching((pattern, message) => matchesPattern(pattern, keyIn(message)), 'not-stored'),
    fails: ['topics.full', 'extras.limits-call'],
  },
  {
    name: 'redrives to whichever subscription of the topic was first',
    fault(inner, run) {
      const subscriptions = known(run)
      const redirected = onPublish(inner, (message) => {
        const { destination } = message
        if (!('subscription' in destination)) return message
        const first = [...subscriptions.values()].find(({ target }) => target.topic === destination.topic)
        return { ...message, destination: first?.target ?? destination }
      })
      return {
        ...redirected,
        declare(target, declaration) {
          if ('subscription' in target) subscriptions.set(keyOf(target), { target, pattern: '' })
          return inner.declare(target, declaration)
        },
      }
    },
    fails: ['dead-letters.redrive-subscription', 'topics.missing', 'topics.expires'],
  },
  {
    name: 'does not say in which subscription a message expired',
    fault: (inner) =>
      onDelivery(inner, (delivery) =>
        delivery.deadLetter?.reason === 'expired'
          ? { ...delivery, deadLetter: { ...delivery.deadLetter, subscription: null } }
          : delivery,
      ),
    fails: ['time.ttl-dead-letter'],
  },
]

const sum = (counts: readonly number[]) => counts.reduce((all, each) => all + each, 0)

/** Asks for every subscription of the same topic; for a queue, for that alone. */
function ofTopic(run: Run, target: Target, ask: (target: Target) => Promise<number>): Promise<number[]> {
  if ('queue' in target) return Promise.all([ask(target)])
  const all = [...known(run).values()].map((each) => each.target)
  return Promise.all(all.filter(({ topic }) => topic === target.topic).map(ask))
}
