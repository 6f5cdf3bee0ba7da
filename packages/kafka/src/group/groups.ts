import { pause } from '../abort.ts'
import { type Link, protocolError } from '../client.ts'
import { type Connection, isAway } from '../connection.ts'
import { errorType } from '../errors.ts'
import { byTopic, committedBy } from './commits.ts'
import type { Commit, CommitEntry, Parts } from './membership-contract.ts'

const TRIES = 50
/** The same, where a broker is away, or was just now: that long it takes a cluster to do without it. */
const TRIES_AWAY = 120
const AGAIN_MS = 100

/** What a group committed, by `topic/partition`. */
export function committedOf(
  connection: Connection,
  group: string,
  parts: Parts,
): Promise<Map<string, Commit>> {
  return persistently(connection, group, (link) => committedBy(link, group, parts))
}

/** Commits for a group without members. */
export async function commitFor(
  connection: Connection,
  group: string,
  entries: readonly CommitEntry[],
): Promise<void> {
  const args = { groupId: group, groupGenerationId: -1, memberId: '', topics: byTopic(entries) }
  // A topic that was just made may be new to the coordinator for a moment.
  await persistently(connection, group, (link) => link.call('OffsetCommit', args), [UNKNOWN])
}

export async function hasMembers(connection: Connection, group: string): Promise<boolean> {
  const answer = await persistently(connection, group, (link) =>
    link.call<{ groups: readonly { members: readonly unknown[] }[] }>('DescribeGroups', {
      groupIds: [group],
    }),
  )
  return (answer.groups[0]?.members.length ?? 0) > 0
}

/** Deletes a group without members, `waits`: as soon as they have left. A missing one is no error, nor one whose members stay. */
export async function deleteGroup(connection: Connection, group: string, waits: boolean): Promise<void> {
  const call = async (link: Link): Promise<void> => {
    type Answer = { readonly results: readonly { readonly errorCode: number }[] }
    const [result] = (await link.call<Answer>('DeleteGroups', [group])).results
    // kafkajs throws nothing of what an answer says of a group.
    const error = protocolError(result?.errorCode ?? 0)
    if (error !== null) throw error
  }
  await persistently(connection, group, call, waits ? ['NON_EMPTY_GROUP'] : []).catch(() => undefined)
  connection.forgetCoordinator(group)
}

/** Names of all groups: each broker knows those that it coordinates. */
export async function allGroups(connection: Connection): Promise<string[]> {
  const groupsOf = async (node: number): Promise<string[]> => {
    const link = await connection.link(node, 'main')
    const { groups } = await link.call<{ groups: readonly { groupId: string }[] }>('ListGroups', {})
    return groups.map(({ groupId }) => groupId)
  }
  for (let tries = 0; ; tries++) {
    try {
      return (await Promise.all(connection.nodes.map(groupsOf))).flat()
    } catch (error) {
      const passes = PASSING.has(errorType(error) ?? '') || isAway(connection, error)
      if (!passes || tries >= TRIES_AWAY) throw error
      await pause(AGAIN_MS)
      // It may be none of the cluster's any more.
      await connection.topics([], true).catch(() => undefined)
    }
  }
}

const PASSING = new Set([
  'GROUP_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'LEADER_NOT_AVAILABLE',
])

const UNKNOWN = 'UNKNOWN_TOPIC_OR_PARTITION'

/** A coordinator that moves, or still loads, is asked again for a while, and so is one with any other error that passes. */
async function persistently<T>(
  connection: Connection,
  group: string,
  call: (link: Link) => Promise<T>,
  alsoPassing: readonly string[] = [],
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call(await connection.coordinator(group, 'main'))
    } catch (error) {
      const type = errorType(error) ?? ''
      // Also the others name the one that is away until another takes its place.
      const moves = PASSING.has(type) || isAway(connection, error)
      if (!(moves && tries < TRIES_AWAY) && !(alsoPassing.includes(type) && tries < TRIES)) throw error
      connection.forgetCoordinator(group)
      await pause(AGAIN_MS)
    }
  }
}
