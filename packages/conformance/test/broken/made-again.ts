import type { BrokerAdapter, QueueSettings } from '@mq/core/adapter'
import { keyOf, onPublish, sharedMap, type Broken, type Run } from './broken.ts'

/** Makes what was deleted with a setting of the one before, and says that it did as it was told. */
const remembering =
  (field: keyof QueueSettings, of: 'queue' | 'topic'): Broken['fault'] =>
  (inner, { shared }: Run) => {
    const before = sharedMap<QueueSettings>(shared, 'before')
    const gone = sharedMap<QueueSettings>(shared, 'gone')
    return {
      ...inner,
      async declare(target, declaration) {
        const old = gone.get(keyOf(target))
        if (old === undefined || !(of in target)) {
          if (!before.has(keyOf(target))) before.set(keyOf(target), declaration.settings)
          return inner.declare(target, declaration)
        }
        const { settings } = declaration
        const kept = { ...settings, [field]: old[field] }
        return {
          ...(await inner.declare(target, { ...declaration, settings: kept })),
          [field]: settings[field],
        }
      },
      async remove(target) {
        await inner.remove(target)
        const settings = before.get(keyOf(target))
        if (settings !== undefined && !gone.has(keyOf(target))) gone.set(keyOf(target), settings)
      },
    }
  }

/** Goes on knowing the ids that a deleted one has seen. */
function seeing(inner: BrokerAdapter, { shared }: Run): BrokerAdapter {
  const windows = sharedMap<number>(shared, 'windows')
  const lives = sharedMap<Set<string>>(shared, 'lives')
  const published = onPublish(inner, (message) => {
    const { destination, deduplicationId, redriven } = message
    if (deduplicationId === undefined || redriven || !windows.has(keyOf(destination))) return message
    const seen = lives.get(keyOf(destination)) ?? new Set()
    lives.set(keyOf(destination), seen)
    if (seen.has(deduplicationId)) return null
    seen.add(deduplicationId)
    return message
  })
  return {
    ...published,
    declare(target, declaration) {
      const { deduplicationWindowMs, maxLength } = declaration.settings
      if (deduplicationWindowMs === 600_000 && maxLength === null)
        windows.set(keyOf(target), deduplicationWindowMs)
      else windows.delete(keyOf(target))
      return inner.declare(target, declaration)
    },
  }
}

const FIELDS = ['maxLength', 'overflow', 'deduplicationWindowMs', 'maxPriority', 'ordered'] as const
const ENDS = ['exclusive', 'autoDelete', 'expires'] as const

/** Faults of what is deleted and made again. */
export const madeAgain: readonly Broken[] = [
  ...(['queue', 'topic'] as const).flatMap((of) =>
    [...FIELDS, ...ENDS].map((field) => ({
      name: `makes a ${of === 'queue' ? 'queue' : 'subscription'} again with the ${field} that it had`,
      fault: remembering(field, of),
      fails: [
        ENDS.some((each) => each === field) ? 'queues.made-again-ends' : 'queues.made-again',
        ...(of === 'queue' && field === 'maxLength' ? ['queues.elsewhere-limit'] : []),
      ],
    })),
  ),
  {
    name: 'knows what a queue has seen that was deleted',
    fault: seeing,
    fails: ['queues.made-again'],
  },
]
