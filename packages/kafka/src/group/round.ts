import { Buffer } from 'node:buffer'
import type { MemberView } from './assignor.ts'
import type { Parts } from './membership-contract.ts'
import { Reader, Writer } from '../log/bytes.ts'

/** What the members of a group tell each other in a round: what each reads and wants, and who shall read what. */

/** In the format of every consumer, so that Kafka's own tools can show it. */
export function encodeView(
  topics: readonly string[],
  view: Omit<MemberView, 'id' | 'topics'>,
  broken = 0,
): Buffer {
  // Brokers begin a round anew only for what is new.
  const data = Buffer.from(JSON.stringify(broken === 0 ? view : { ...view, broken }))
  const out = new Writer().int16(0).int32(topics.length)
  for (const topic of topics) out.string(topic)
  return out.int32(data.length).raw(data).done()
}

export function decodeView(id: string, bytes: Buffer): MemberView {
  const r = new Reader(bytes)
  r.int16()
  const topics = r.array(() => r.string() ?? '')
  const view = JSON.parse(r.raw(r.int32()).toString()) as Omit<MemberView, 'id' | 'topics'>
  return { id, topics, owned: view.owned, pinned: view.pinned, only: view.only, together: view.together }
}

export function encodeAssignment(parts: Parts, moving: boolean, others: boolean): Buffer {
  const topics = Object.entries(parts)
  const out = new Writer().int16(0).int32(topics.length)
  for (const [topic, list] of topics) {
    out.string(topic).int32(list.length)
    for (const partition of list) out.int32(partition)
  }
  return out
    .int32(2)
    .raw(Buffer.from([moving ? 1 : 0, others ? 1 : 0]))
    .done()
}

export function decodeAssignment(bytes: Buffer): { parts: Parts; moving: boolean; others: boolean } {
  if (bytes.length === 0) return { parts: {}, moving: true, others: true }
  const r = new Reader(bytes)
  r.int16()
  const parts = Object.fromEntries(r.array(() => [r.string() ?? '', r.array(() => r.int32())] as const))
  const [moving, others] = r.raw(r.int32())
  return { parts, moving: moving === 1, others: others === 1 }
}

/** How many partitions each topic has: what changes when some are added. */
export function countsOf(topics: readonly string[], partitions: Readonly<Record<string, number>>): string {
  return topics.map((name) => partitions[name] ?? 0).join(' ')
}
