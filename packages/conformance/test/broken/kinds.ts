import type { BrokerAdapter, OutboundMessage, PublishOutcome, QueueSettings, Target } from '@mq/core/adapter'
import { copyOf, keyOf, onPublish, onReceiver, sharedMap, type Broken, type Run } from './broken.ts'

const forever = () => new AbortController().signal

/** Writes down with which settings each queue was made. */
function remembering(
  inner: BrokerAdapter,
  { shared }: Run,
): { adapter: BrokerAdapter; settingsOf: (target: object) => QueueSettings | undefined } {
  const known = sharedMap<QueueSettings>(shared, 'settings')
  const adapter: BrokerAdapter = {
    ...inner,
    async declare(target, declaration) {
      const answer = await inner.declare(target, declaration)
      if (!known.has(keyOf(target))) known.set(keyOf(target), declaration.settings)
      return answer
    },
  }
  return { adapter, settingsOf: (target) => known.get(keyOf(target)) }
}

/** Makes queues with other settings than it is asked for. */
function declaring(change: (settings: QueueSettings) => Partial<QueueSettings>): Broken['fault'] {
  return (inner) => ({
    ...inner,
    declare: (target, declaration) => {
      const { settings } = declaration
      return inner.declare(target, { ...declaration, settings: { ...settings, ...change(settings) } })
    },
  })
}

/** Deletes an autoDelete queue whenever a receiver of that mode closes. */
function deletingWith(last: 'consume' | 'pull'): Broken['fault'] {
  return (inner, run) => {
    const { adapter, settingsOf } = remembering(inner, run)
    const opened = new Set<Target>()
    const gone = async (target: Target) => {
      if (opened.delete(target) && settingsOf(target)?.autoDelete === true) await inner.remove(target)
    }
    const watched = onReceiver(adapter, (receiver, { target, mode }) => {
      if (mode === last) opened.add(target)
      return {
        async close(signal) {
          await receiver.close(signal)
          await gone(target)
        },
      }
    })
    return {
      ...watched,
      async disconnect(signal) {
        for (const target of opened) await gone(target).catch(() => undefined)
        await inner.disconnect(signal)
      },
    }
  }
}

/** Faults that only some kinds of queue show. */
export const kinds: readonly Broken[] = [
  {
    name: 'deletes an autoDelete queue with the first of its consumers',
    fault: deletingWith('consume'),
    fails: ['extras.auto-delete', 'topics.auto-delete', 'queues.made-again-ends'],
  },
  {
    name: 'takes who receives now and then for a consumer of an autoDelete queue',
    fault: deletingWith('pull'),
    fails: ['extras.auto-delete'],
  },
  {
    name: 'ignores x-expires',
    fault: declaring(() => ({ expires: null })),
    fails: ['queues.conflict-each', 'queues.expires', 'topics.expires', 'queues.made-again-ends'],
  },
  {
    name: 'lets a queue expire while it is consumed',
    fault: (inner, { clock }) => ({
      ...inner,
      async declare(target, declaration) {
        const { expires } = declaration.settings
        const answer = await inner.declare(target, declaration)
        if (expires !== null) clock.setTimeout(() => void inner.remove(target), expires)
        return answer
      },
    }),
    fails: ['queues.expires', 'topics.expires', 'queues.made-again-ends'],
  },
  {
    name: 'drops the newest of an ordered queue that is full',
    fault: (inner, run) => {
      const dropping = declaring(({ ordered, overflow }) =>
        ordered && overflow === 'drop-oldest' ? { overflow: 'reject' } : {},
      )(inner, run)
      const { adapter, settingsOf } = remembering(dropping, run)
      return {
        ...adapter,
        async publish(batch, signal) {
          const outcomes = await adapter.publish(batch, signal)
          const drops = settingsOf(batch[0]?.destination ?? {})?.overflow === 'drop-oldest'
          return drops ? outcomes.map(() => ({ ok: true })) : outcomes
        },
      }
    },
    fails: ['extras.drop-oldest', 'queues.made-again'],
  },
  {
    name: 'never has room again in a queue whose bytes were at their limit',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      const full = sharedMap<PublishOutcome>(run.shared, 'full')
      return {
        ...adapter,
        async publish(batch, signal) {
          const destination = batch[0]?.destination ?? {}
          const refused = full.get(keyOf(destination))
          if (refused !== undefined) return batch.map(() => refused)
          const outcomes = await adapter.publish(batch, signal)
          const limited = (settingsOf(destination)?.maxLengthBytes ?? null) !== null
          for (const outcome of outcomes) if (limited && !outcome.ok) full.set(keyOf(destination), outcome)
          return outcomes
        },
      }
    },
    fails: ['extras.limits-both', 'extras.max-bytes', 'extras.limits-kinds', 'extras.limits-redriven'],
  },
  {
    name: 'takes an id that another queue had for a duplicate',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      const first = new Map<string, string>()
      return onPublish(adapter, (message) => {
        const { deduplicationId, destination } = message
        if (
          deduplicationId === undefined ||
          (settingsOf(destination)?.deduplicationWindowMs ?? null) === null
        )
          return message
        const queue = first.get(deduplicationId) ?? keyOf(destination)
        first.set(deduplicationId, queue)
        return queue === keyOf(destination) ? message : null
      })
    },
    fails: ['extras.dedupe'],
  },
  {
    name: 'forgets a deduplication id after half its window',
    fault: declaring(({ deduplicationWindowMs: ms }) => ({
      deduplicationWindowMs: ms === null ? null : ms / 2,
    })),
    fails: ['extras.dedupe-first', 'extras.dedupe-whole', 'queues.made-again'],
  },
  {
    name: 'lets a duplicate prolong its window',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      const seen = sharedMap<number>(run.shared, 'seen ids')
      return onPublish(adapter, (message) => {
        const { deduplicationId, destination, redriven } = message
        const windowMs = settingsOf(destination)?.deduplicationWindowMs ?? null
        if (windowMs === null || deduplicationId === undefined || redriven) return message
        const id = `${keyOf(destination)} ${deduplicationId}`
        const isDuplicate = (seen.get(id) ?? -Infinity) + windowMs > run.clock.now()
        seen.set(id, run.clock.now())
        return isDuplicate ? null : message
      })
    },
    fails: ['extras.dedupe-first', 'extras.dedupe-refused', 'queues.made-again'],
  },
  {
    name: 'takes what is retried for its own duplicate',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      return onReceiver(adapter, (receiver, { target }) => ({
        retry: (deliveries, delayMs) =>
          (settingsOf(target)?.deduplicationWindowMs ?? null) === null
            ? receiver.retry(deliveries, delayMs)
            : receiver.ack(deliveries),
      }))
    },
    fails: ['contract.fields-kinds', 'extras.dedupe-returned', 'extras.dedupe-same'],
  },
  {
    name: 'compares the ttl and the dead-letter queue of an existing queue alone',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      return {
        ...adapter,
        declare(target, declaration) {
          const { messageTtl, deadLetterQueue } = declaration.settings
          const settings = { ...(settingsOf(target) ?? declaration.settings), messageTtl, deadLetterQueue }
          return adapter.declare(target, { ...declaration, settings })
        },
      }
    },
    fails: [
      'queues.conflict-each',
      'queues.made-again',
      'queues.made-again-ends',
      'queues.elsewhere-limit',
      'queues.elsewhere-order',
    ],
  },
  {
    name: 'takes what it refused for a duplicate when it is sent again',
    fault(inner) {
      const refused = new Set<string>()
      const checked = onPublish(inner, (message) =>
        message.deduplicationId !== undefined && refused.has(message.deduplicationId) ? null : message,
      )
      return {
        ...checked,
        async publish(batch, signal) {
          const outcomes = await checked.publish(batch, signal)
          for (const [i, { deduplicationId }] of batch.entries())
            if (outcomes[i]?.ok === false && deduplicationId !== undefined) refused.add(deduplicationId)
          return outcomes
        },
      }
    },
    fails: ['extras.dedupe-refused', 'queues.made-again', 'extras.limits-call'],
  },
  {
    name: 'puts what is retried behind whatever has a priority',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      const priorities = sharedMap<number>(run.shared, 'priorities')
      return onReceiver(adapter, (receiver, { target }) => ({
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          for (const delivery of deliveries)
            Object.defineProperty(delivery, 'priority', {
              value: priorities.get(delivery.id) ?? delivery.priority,
            })
          return deliveries
        },
        async retry(deliveries, delayMs) {
          if ((settingsOf(target)?.maxPriority ?? null) === null) return receiver.retry(deliveries, delayMs)
          for (const { id, priority } of deliveries) priorities.set(id, priority)
          const copies = deliveries.map((delivery) => retried(delivery, target, delayMs))
          await inner.publish(copies, forever())
          return receiver.ack(deliveries)
        },
      }))
    },
    fails: ['contract.fields-dead', 'contract.fields-returned', 'extras.priority-returned'],
  },
  {
    name: 'counts one priority of a queue alone',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      return {
        ...adapter,
        async size(target) {
          const size = await inner.size(target)
          return (settingsOf(target)?.maxPriority ?? null) === null ? size : Math.min(size, 1)
        },
      }
    },
    fails: [
      'contract.priority-numbers',
      'extras.priority',
      'extras.priority-returned',
      'time.delay-priority',
      'topics.priority',
      'extras.priority-left',
    ],
  },
  {
    name: 'shows a browse one priority of a queue alone',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => {
        if (mode !== 'browse') return {}
        let shown: number | null = null
        return {
          async receive(max, signal, waitMs) {
            for (;;) {
              const page = await receiver.receive(max, signal, waitMs)
              shown ??= page[0]?.priority ?? null
              const kept = page.filter(({ priority }) => priority === shown)
              if (kept.length > 0 || page.length === 0) return kept
            }
          },
        }
      }),
    fails: ['contract.fields-browsed', 'receiver.browse-priorities'],
  },
  {
    name: 'keeps dead letters for longer than their queue does',
    // A queue for dead letters has no limit of deliveries.
    fault: declaring(({ maxRedeliveries, messageTtl }) => ({
      messageTtl: maxRedeliveries === Number.MAX_SAFE_INTEGER ? null : messageTtl,
    })),
    fails: ['time.ttl-retention'],
  },
  {
    name: 'shows a browse of an ordered queue the first of each key alone',
    fault(inner, run) {
      const { adapter, settingsOf } = remembering(inner, run)
      return onReceiver(adapter, (receiver, { mode, target }) => {
        if (mode !== 'browse' || settingsOf(target)?.ordered !== true) return {}
        const seen = new Set<string | undefined>()
        return {
          async receive(max, signal, waitMs) {
            for (;;) {
              const page = await receiver.receive(max, signal, waitMs)
              const kept = page.filter(({ key }) => !seen.has(key) && seen.add(key))
              if (kept.length > 0 || page.length === 0) return kept
            }
          },
        }
      })
    },
    fails: ['receiver.browse-ordered'],
  },
  {
    name: 'never gives the key of what expired free',
    fault(inner, { shared, clock }) {
      const lanes = sharedMap<number>(shared, 'expiring lanes')
      const laneOf = (target: object, key: string) => `${keyOf(target)} ${key}`
      const watched = onPublish(inner, (message) => {
        const { destination, key, expiresAt } = message
        if (key !== undefined && expiresAt !== undefined) lanes.set(laneOf(destination, key), expiresAt)
        return message
      })
      return onReceiver(watched, (receiver, { target, ordered }) => ({
        async receive(max, signal, waitMs) {
          const deliveries = await receiver.receive(max, signal, waitMs)
          return deliveries.filter(
            ({ key, expiresAt }) =>
              !ordered ||
              key === undefined ||
              expiresAt !== undefined ||
              (lanes.get(laneOf(target, key)) ?? Infinity) > clock.now(),
          )
        },
      }))
    },
    fails: ['order.unblocked'],
  },
]

function retried(
  delivery: Parameters<typeof copyOf>[0],
  destination: Target,
  delayMs: number,
): OutboundMessage {
  const deliveryCount = delivery.deliveryCount + 1
  return { ...copyOf(delivery), destination, delayMs, deliveryCount }
}
