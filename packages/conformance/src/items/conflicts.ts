import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { adapterErrorOf, type BrokerAdapter, type QueueSettings, type Target } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { plainSettings } from '../fixtures.ts'
import { later } from '../helpers.ts'
import { group } from '../item.ts'

/** A setting as a queue was made with it, and another value; with what it means something. */
interface Change {
  readonly field: keyof QueueSettings
  readonly made: unknown
  readonly asked: unknown
  readonly besides?: Partial<QueueSettings>
  /** Core's own business: a broker may not know it. */
  readonly unlessHidden?: true
  /** Some brokers refuse it for another reason, which comes with it. */
  readonly unnamed?: true
}

function changes(t: TestContext): readonly Change[] {
  const { limits, exclusive, autoDelete, priorityLevels, dedupe } = t.capabilities
  const limited = { maxLength: 10 }
  const only = (condition: boolean, all: readonly Change[]) => (condition ? all : [])
  return [
    { field: 'deadLetterQueue', made: t.name('dead'), asked: t.name('dead') },
    { field: 'deadLetterQueue', made: t.name('dead'), asked: null },
    { field: 'deadLetterQueue', made: null, asked: t.name('dead') },
    { field: 'ordered', made: false, asked: true },
    { field: 'ordered', made: true, asked: false },
    { field: 'partitions', made: 2, asked: 3, besides: { ordered: true } },
    { field: 'messageTtl', made: 600_000, asked: 500_000, unlessHidden: true },
    { field: 'messageTtl', made: 600_000, asked: null, unlessHidden: true },
    { field: 'messageTtl', made: null, asked: 600_000, unlessHidden: true },
    { field: 'expires', made: 600_000, asked: 500_000, unlessHidden: true },
    { field: 'expires', made: null, asked: 600_000, unlessHidden: true },
    { field: 'durable', made: true, asked: false, unlessHidden: true },
    { field: 'replicationFactor', made: 1, asked: 2, unlessHidden: true },
    { field: 'maxRedeliveries', made: 7, asked: 8, unlessHidden: true },
    ...only(dedupe === 'broker', [
      { field: 'deduplicationWindowMs', made: 60_000, asked: 70_000, unlessHidden: true },
      { field: 'deduplicationWindowMs', made: null, asked: 60_000, unlessHidden: true },
      { field: 'deduplicationWindowMs', made: 60_000, asked: null, unlessHidden: true },
    ]),
    ...only(priorityLevels > 1, [
      { field: 'maxPriority', made: 3, asked: 5 },
      { field: 'maxPriority', made: null, asked: 5, unnamed: true },
      { field: 'maxPriority', made: 5, asked: null, unnamed: true },
    ]),
    ...only(limits !== 'none', [
      { field: 'maxLength', made: 10, asked: 11 },
      { field: 'maxLength', made: 10, asked: null },
      { field: 'maxLength', made: null, asked: 10 },
      { field: 'maxLengthBytes', made: 4096, asked: 8192 },
      { field: 'maxLengthBytes', made: 4096, asked: null },
      { field: 'maxLengthBytes', made: null, asked: 4096 },
      { field: 'overflow', made: 'reject', asked: 'drop-oldest', besides: limited },
      { field: 'overflow', made: 'drop-oldest', asked: 'reject', besides: limited },
    ]),
    ...only(autoDelete, [
      { field: 'autoDelete', made: false, asked: true },
      { field: 'autoDelete', made: true, asked: false },
    ]),
    ...only(exclusive, [
      { field: 'exclusive', made: false, asked: true },
      { field: 'exclusive', made: true, asked: false },
    ]),
  ]
}

/** What may be set of a subscription on any broker; what a broker does not tell of one, it need not compare. */
const OF_SUBSCRIPTIONS = new Set<keyof QueueSettings>([
  'deadLetterQueue',
  'messageTtl',
  'maxRedeliveries',
  'maxLength',
  'ordered',
])

async function conflicting(
  adapter: BrokerAdapter,
  target: Target,
  { field, made, asked, besides, unlessHidden, unnamed }: Change,
): Promise<void> {
  const pattern = 'topic' in target ? '#' : undefined
  const declare = (value: unknown, ifExists: 'take' | 'compare') =>
    adapter.declare(target, {
      settings: { ...plainSettings, ...besides, [field]: value },
      pattern,
      ifExists,
    })
  const [first] = await Promise.allSettled([declare(made, 'compare')])
  if (first.status === 'rejected') {
    const { code } = adapter.classify(first.reason)
    assert.ok(unlessHidden === true && code === 'MQ_UNSUPPORTED', `${field} ${String(made)}: ${code}`)
    return
  }
  // What is taken as it is stays so, and some tell what that is.
  const [taken] = await Promise.allSettled([declare(unnamed === true ? made : asked, 'take')])
  const shown = taken.status === 'fulfilled' ? taken.value[field] : undefined
  if (unlessHidden === true && !isDeepStrictEqual(shown, made)) return
  const what = `${field} ${String(made)}, asked for ${String(asked)}`
  const error: unknown = await declare(asked, 'compare').then(
    () => assert.fail(`${what}: no conflict`),
    (reason: unknown) => reason,
  )
  const { code, retryable } = adapter.classify(error)
  assert.deepEqual({ code, retryable }, { code: 'MQ_QUEUE_CONFLICT', retryable: false }, what)
  const named = adapterErrorOf(error)?.differences.map((difference) => difference.field)
  assert.ok(unnamed === true || named?.includes(field) === true, `${what}: ${String(named)} named`)
  await declare(made, 'compare')
}

export const conflicts = group('queues', (item) => {
  item(
    'conflict-each',
    'any one setting that differs is a conflict that names it, and changes nothing',
    async (t) => {
      const adapter = await t.connected()
      const topic = t.name('topic')
      await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
      const ofQueues = changes(t).map((change) => conflicting(adapter, { queue: t.name() }, change))
      const ofSubscriptions = changes(t)
        .filter(({ field }) => OF_SUBSCRIPTIONS.has(field))
        .map((change) =>
          conflicting(adapter, { topic, subscription: t.name('s') }, { ...change, unlessHidden: true }),
        )
      await Promise.all([...ofQueues, ...ofSubscriptions].map(later))
    },
    { slowness: 2 },
  )
})
