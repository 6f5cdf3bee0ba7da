import { AdapterError } from '@mq/core/adapter'
import type { Connection } from '../connection.ts'
import type { Names } from '../names.ts'
import { partsOf } from '../topics.ts'
import { allGroups, committedOf } from './groups.ts'
import { hasNotes } from './notes.ts'

/**
 * That a group of another `groupId` reads the same, as an error; `null`: none does. Neither would know of the other: what one is done with is
 * deleted, and what it retries comes to both. Groups of other clients have no part in that.
 */
export async function rivalOf(
  connection: Connection,
  { main, later, group }: Names,
): Promise<AdapterError | null> {
  const suffix = group.slice((connection.options.groupId ?? 'mq').length)
  const alike = (await allGroups(connection)).filter((each) => each !== group && each.endsWith(suffix))
  if (alike.length === 0) return null
  const parts = partsOf(await connection.topics([main, later]), [main, later])
  for (const each of alike) {
    const commits = await committedOf(connection, each, parts)
    // Of another queue, whose name ends so, there are none.
    if (![...commits.values()].some(({ metadata }) => hasNotes(metadata))) continue
    return new AdapterError(
      'MQ_QUEUE_CONFLICT',
      `"${main}" is read by the consumer group "${each}" already, so "${group}" may not: all consumers of a queue need one groupId ` +
        '(consumerGroupId); if nobody uses the other any more, delete that group',
    )
  }
  return null
}

/** Whether no other group reads the same; asked until it was so once, since whoever comes later is refused. */
export function createSolitude(
  connection: Connection,
  names: Names,
  refuse: (rival: AdapterError) => void,
): () => Promise<boolean> {
  let alone = false
  return async () => {
    if (alone) return true
    const rival = await rivalOf(connection, names)
    if (rival !== null) refuse(rival)
    return (alone = rival === null)
  }
}
