import type { DeclareTarget, Target } from '@mq/core/adapter'
import { keyOf, sharedMap, type Broken, type Run } from './broken.ts'

type Subscription = Extract<Target, { topic: string }>

/** Notes each subscription that is made. */
function noting(inner: Parameters<Broken['fault']>[0], { shared }: Run) {
  const made = sharedMap<Subscription>(shared, 'made')
  const declare: typeof inner.declare = (target, declaration) => {
    if ('subscription' in target) made.set(keyOf(target), target)
    return inner.declare(target, declaration)
  }
  return { made, adapter: { ...inner, declare } }
}

const isTopic = (target: DeclareTarget): target is { topic: string } =>
  'topic' in target && !('subscription' in target)

/** Faults that take what is named alike, or is made again, for what it is not. */
export const again: readonly Broken[] = [
  {
    name: 'deletes each topic whose name begins like the one that it is told',
    fault(inner, run) {
      const { made, adapter } = noting(inner, run)
      return {
        ...adapter,
        async remove(target) {
          await inner.remove(target)
          if (!isTopic(target)) return
          for (const { topic } of made.values())
            if (topic.startsWith(target.topic)) await inner.remove({ topic })
        },
      }
    },
    fails: ['topics.delete'],
  },
  {
    name: 'deletes the subscription of that name of other topics, too',
    fault(inner, run) {
      const { made, adapter } = noting(inner, run)
      return {
        ...adapter,
        async remove(target) {
          await inner.remove(target)
          if (!('subscription' in target)) return
          for (const each of made.values())
            if (each.subscription === target.subscription && each.topic.startsWith(target.topic))
              await inner.remove(each)
        },
      }
    },
    fails: ['topics.delete'],
  },
  {
    name: 'purges whatever subscription is named alike',
    fault(inner, run) {
      const { made, adapter } = noting(inner, run)
      return {
        ...adapter,
        async purge(target) {
          const purged = await inner.purge(target)
          if (!('subscription' in target)) return purged
          for (const each of made.values())
            if (keyOf(each) !== keyOf(target) && each.topic.startsWith(target.topic))
              if (each.subscription.startsWith(target.subscription)) await inner.purge(each).catch(() => 0)
          return purged
        },
      }
    },
    fails: ['topics.purge-apart'],
  },
  {
    name: 'purges a subscription that is compared',
    fault: (inner) => ({
      ...inner,
      async declare(target, declaration) {
        const settings = await inner.declare(target, declaration)
        if ('subscription' in target && declaration.ifExists === 'compare') await inner.purge(target)
        return settings
      },
    }),
    fails: ['topics.pattern-conflict'],
  },
  {
    name: 'keeps the pattern of a deleted subscription for the next of that name',
    fault(inner, { shared }) {
      const gone = sharedMap<string | undefined>(shared, 'gone')
      const patterns = sharedMap<string | undefined>(shared, 'patterns')
      return {
        ...inner,
        declare(target, declaration) {
          const key = keyOf(target)
          if (!patterns.has(key)) patterns.set(key, declaration.pattern)
          return inner.declare(
            target,
            gone.has(key) ? { ...declaration, pattern: gone.get(key) } : declaration,
          )
        },
        remove(target) {
          const key = keyOf(target)
          if ('subscription' in target && patterns.has(key)) gone.set(key, patterns.get(key))
          return inner.remove(target)
        },
      }
    },
    fails: ['topics.pattern-conflict', 'queues.elsewhere-topic'],
  },
]
