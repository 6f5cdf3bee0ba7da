import { AdapterError, type DeclareTarget, type Difference, type QueueSettings } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import type { TopicInfo } from './log/protocol.ts'
import { nameOf } from './names.ts'
import type { Registered } from './registry.ts'
import { configOf } from './topics.ts'

/** Dead letters are few, and their order is worth more than many readers. */
export function partitionsOf(settings: QueueSettings, connection: Connection, name: string): number {
  return name.endsWith('.dlq') ? 1 : Math.max(settings.partitions, connection.options.minPartitions, 1)
}

/** Settings that differ. */
export function compare(existing: Registered, settings: QueueSettings): Difference[] {
  const differences: Difference[] = []
  for (const field of Object.keys(settings) as (keyof QueueSettings)[]) {
    const [before, requested] = [existing.settings[field], settings[field]]
    if (sorted(before) !== sorted(requested)) differences.push({ field, existing: before, requested })
  }
  return differences
}

/** As text in which the order of names means nothing. */
function sorted(value: unknown): string | undefined {
  return JSON.stringify(value, (_, part: unknown) =>
    part === null || typeof part !== 'object' || Array.isArray(part)
      ? part
      : Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))),
  )
}

/** Of a topic that somebody else made there is what the broker itself says. */
export async function compareTopic(
  connection: Connection,
  { name: topic, leaders, replicas }: TopicInfo,
  settings: QueueSettings,
): Promise<Difference[]> {
  const actual = { partitions: leaders.length, replicationFactor: replicas }
  const differences: Difference[] = []
  if (topic.endsWith('.dlq')) return differences
  for (const field of ['partitions', 'replicationFactor'] as const) {
    // One that was made here, and is not registered yet, may have more.
    const asMade = field === 'partitions' ? partitionsOf(settings, connection, topic) : settings[field]
    if (actual[field] !== settings[field] && actual[field] !== asMade)
      differences.push({ field, existing: actual[field], requested: settings[field] })
  }
  const wanted = Object.entries(settings.arguments)
  if (wanted.length === 0) return differences
  const config = await configOf(connection, topic)
  for (const [name, value] of wanted) {
    if (config.get(name) !== String(value)) {
      differences.push({ field: `arguments.${name}`, existing: config.get(name), requested: value })
    }
  }
  return differences
}

export function conflict(target: DeclareTarget, differences: readonly Difference[]): AdapterError {
  const list = differences.map(
    (d) => `${d.field} is ${JSON.stringify(d.existing)}, requested ${JSON.stringify(d.requested)}`,
  )
  return new AdapterError(
    'MQ_QUEUE_CONFLICT',
    `${nameOf(target)} exists with other settings: ${list.join('; ')}`,
    {
      differences,
    },
  )
}
