import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { adapterErrorOf, type QueueSettings } from '@mq/core/adapter'
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
    { field: 'ordered', made: false, asked: true },
    { field: 'partitions', made: 2, asked: 3, besides: { ordered: true } },
    { field: 'messageTtl', made: 600_000, asked: 500_000, unlessHidden: true },
    { field: 'maxRedeliveries', made: 7, asked: 8, unlessHidden: true },
    ...only(dedupe === 'broker', [
      { field: 'deduplicationWindowMs', made: 60_000, asked: 70_000, unlessHidden: true },
    ]),
    ...only(priorityLevels > 1, [
      { field: 'maxPriority', made: 3, asked: 5 },
      { field: 'maxPriority', made: null, asked: 5, unnamed: true },
    ]),
    ...only(limits !== 'none', [
      { field: 'maxLength', made: 10, asked: 11 },
      { field: 'maxLength', made: 10, asked: null },
      { field: 'maxLengthBytes', made: 4096, asked: 8192 },
      { field: 'overflow', made: 'reject', asked: 'drop-oldest', besides: limited },
    ]),
    ...only(autoDelete, [{ field: 'autoDelete', made: false, asked: true }]),
    ...only(exclusive, [{ field: 'exclusive', made: false, asked: true, unnamed: true }]),
  ]
}

export const conflicts = group('queues', (item) => {
  item(
    'conflict-each',
    'any one setting that differs is a conflict that names it, and changes nothing',
    async (t) => {
      const adapter = await t.connected()
      const one = async ({ field, made, asked, besides, unlessHidden, unnamed }: Change): Promise<void> => {
        const target = { queue: t.name() }
        const declare = (value: unknown, ifExists: 'take' | 'compare') => {
          const settings = { ...plainSettings, ...besides, [field]: value }
          return adapter.declare(target, { settings, pattern: undefined, ifExists })
        }
        await declare(made, 'compare')
        if (unlessHidden === true) {
          const inForce = await declare(asked, 'take')
          if (!isDeepStrictEqual(inForce[field], made)) return
        }
        const what = `${field} ${String(made)}, asked for ${String(asked)}`
        const error: unknown = await declare(asked, 'compare').then(
          () => assert.fail(`${what}: no conflict`),
          (reason: unknown) => reason,
        )
        assert.equal(adapter.classify(error).code, 'MQ_QUEUE_CONFLICT', what)
        const named = adapterErrorOf(error)?.differences.map((difference) => difference.field)
        assert.ok(unnamed === true || named?.includes(field) === true, `${what}: ${String(named)} named`)
        await declare(made, 'compare')
      }
      await Promise.all(changes(t).map((change) => later(one(change))))
    },
  )
})
