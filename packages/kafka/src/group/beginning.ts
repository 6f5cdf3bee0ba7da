import type { Connection } from '../connection.ts'
import { offsetsOf } from '../log/offsets.ts'
import type { Names } from '../names.ts'
import { partsOf } from '../topics.ts'
import { commitFor, committedOf, hasMembers } from './groups.ts'
import { notesAtStart } from './notes.ts'

/** A group without commits and members is to have all that comes from now on: it begins where the topic ends, not where that ends once it has joined. */
export async function beginAtEnd(
  connection: Connection,
  { main, group }: Names,
  pattern: string | undefined,
): Promise<void> {
  const parts = partsOf(await connection.topics([main]), [main])
  if ((await committedOf(connection, group, parts)).size > 0) return
  const ends = await offsetsOf(connection, parts)
  if (await hasMembers(connection, group)) return
  const partitions = parts[main]?.length
  const entries = [...ends].map(([key, { high }]) => ({
    topic: main,
    partition: Number(key.slice(key.lastIndexOf('/') + 1)),
    offset: high,
    metadata: notesAtStart(high, { pattern, partitions }),
  }))
  if (entries.length > 0) await commitFor(connection, group, entries)
}
