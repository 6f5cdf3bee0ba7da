import type { BrokerAdapter, OutboundMessage, PublishOutcome } from '@mq/core/adapter'
import { keyOf, onPublish, sharedSet, type Broken } from './broken.ts'
import { counting } from './left-behind.ts'

type After = (
  batch: readonly OutboundMessage[],
  outcomes: readonly PublishOutcome[],
  signal: AbortSignal,
) => Promise<readonly PublishOutcome[]>

const refused = (inner: BrokerAdapter, outcome: PublishOutcome | undefined) =>
  outcome?.ok === false && inner.classify(outcome.error).code === 'MQ_QUEUE_FULL'

/** Does something about what was refused in a call of several to a topic. */
const ofACall =
  (after: (inner: BrokerAdapter, shared: Map<string, unknown>) => After): Broken['fault'] =>
  (inner, { shared }) => {
    const subscriptions = sharedSet(shared, 'subscriptions')
    const amend = after(inner, shared)
    const seen = sharedSet(shared, 'refused')
    const published = onPublish(inner, (message) => (seen.has(message.id) ? null : message))
    return {
      ...inner,
      async publish(batch, signal) {
        const outcomes = await published.publish(batch, signal)
        const [first] = batch
        const several = batch.length > 1 && first !== undefined && 'topic' in first.destination
        if (!several || 'subscription' in first.destination) return outcomes
        return outcomes.some((each) => refused(inner, each)) ? amend(batch, outcomes, signal) : outcomes
      },
      declare(target, declaration) {
        if ('subscription' in target) subscriptions.add(JSON.stringify(target))
        return inner.declare(target, declaration)
      },
    }
  }

/** Faults of limits that do not hold for every message, or for more than they should. */
export const limitsApart: readonly Broken[] = [
  {
    name: 'refuses what follows in a call to a topic once one is refused',
    fault: ofACall((inner) => (_, outcomes) => {
      const at = outcomes.findIndex((each) => refused(inner, each))
      return Promise.resolve(outcomes.map((each, i) => (i > at ? (outcomes[at] ?? each) : each)))
    }),
    fails: ['extras.limits-call'],
  },
  {
    name: 'says that all of a call to a topic is stored if the first is',
    fault: ofACall(() => (_, outcomes) => {
      const [first] = outcomes
      return Promise.resolve(outcomes.map((each) => (first?.ok === true ? first : each)))
    }),
    fails: ['extras.limits-call'],
  },
  {
    name: 'stores in the other subscriptions what one refuses of a call',
    fault: ofACall((inner, shared) => async (batch, outcomes, signal) => {
      const subscriptions = sharedSet(shared, 'subscriptions')
      for (const [i, message] of batch.entries()) {
        if (!refused(inner, outcomes[i])) continue
        for (const each of subscriptions) {
          const target = JSON.parse(each) as { topic: string; subscription: string }
          if (keyOf({ topic: target.topic }) === keyOf(message.destination))
            await inner.publish([{ ...message, destination: target }], signal)
        }
      }
      return outcomes
    }),
    fails: ['extras.limits-call'],
  },
  {
    name: 'takes for a duplicate what was refused of a call',
    fault: ofACall((inner, shared) => (batch, outcomes) => {
      const seen = sharedSet(shared, 'refused')
      for (const [i, { id, deduplicationId }] of batch.entries())
        if (deduplicationId !== undefined && refused(inner, outcomes[i])) seen.add(id)
      return Promise.resolve(outcomes)
    }),
    fails: ['extras.limits-call'],
  },
  {
    name: 'keeps no limit for what is redriven',
    fault: (inner) => ({
      ...inner,
      async publish(batch, signal) {
        const outcomes = [...(await inner.publish(batch, signal))]
        for (const [i, message] of batch.entries()) {
          if (!message.redriven || !refused(inner, outcomes[i])) continue
          // Room is looked for when it is sent, and not when it is due.
          const [outcome] = await inner.publish([{ ...message, delayMs: 1 }], signal)
          if (outcome !== undefined) outcomes[i] = outcome
        }
        return outcomes
      },
    }),
    fails: ['extras.limits-redriven'],
  },
  {
    name: 'counts twice what is redriven',
    fault: (inner, run) =>
      counting(run, inner, (left) =>
        onPublish(inner, (message) => {
          if (message.redriven) left(message.destination, 1)
          return message
        }),
      ),
    fails: ['extras.limits-redriven'],
  },
]
