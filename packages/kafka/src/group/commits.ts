import type { Link } from '../client.ts'
import type { Commit, CommitEntry, Parts } from './membership-contract.ts'

/** Entries as kafkajs takes them. */
export function byTopic(entries: readonly CommitEntry[]): object[] {
  const topics = new Map<string, object[]>()
  for (const { topic, partition, offset, metadata } of entries) {
    const list = topics.get(topic)
    const entry = { partition, offset: String(offset), metadata }
    if (list === undefined) topics.set(topic, [entry])
    else list.push(entry)
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}

/** What a group committed, by `topic/partition`; what it never committed is left out. */
export async function committedBy(link: Link, group: string, parts: Parts): Promise<Map<string, Commit>> {
  const topics = Object.entries(parts).map(([topic, list]) => ({
    topic,
    partitions: list.map((partition) => ({ partition })),
  }))
  const out = new Map<string, Commit>()
  if (topics.length === 0) return out
  const answer = await link.call<{
    responses: readonly {
      topic: string
      partitions: readonly { partition: number; offset: string; metadata: string | null }[]
    }[]
  }>('OffsetFetch', { groupId: group, topics })
  for (const { topic, partitions } of answer.responses) {
    for (const { partition, offset, metadata } of partitions) {
      if (Number(offset) >= 0) out.set(`${topic}/${partition}`, { offset: Number(offset), metadata })
    }
  }
  return out
}
