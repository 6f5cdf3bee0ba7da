import { performance } from 'node:perf_hooks'
import { AdapterError } from '@mq/core/adapter'
import { pause } from '../abort.ts'
import { warnOfGap } from './gaps.ts'
import type { Committer } from './committer.ts'
import type { Connection } from '../connection.ts'
import type { Membership, Parts } from './membership.ts'
import type { Names } from '../names.ts'
import { offsetsOf } from '../log/offsets.ts'
import { createPartition } from './partition.ts'
import type { Partition } from './partition-contract.ts'

const AGAIN_MS = 100

/** Takes partitions over, and gives them up, as the group decides. */
export interface Handoff {
  /** A round begins, or the group went on without this member: what is not read yet may be given to another by now. */
  abandon(): void
  /** A round's result. Resolves with whether another round will follow; `null` when one has begun meanwhile. */
  assigned(parts: Parts, more: boolean): Promise<boolean | null>
  /** Partitions that must go do so when nothing of them is held; where that takes long they stay after all. */
  readonly watchLeaving: () => void
  /** The log of a partition is another one by now. */
  restart(old: Partition, offset: number): void
}

export interface HandoffSetup {
  readonly connection: Connection
  readonly names: Names
  readonly pattern: string | undefined
  readonly startFrom: 'earliest' | 'latest'
  readonly owned: Map<string, Partition>
  readonly committer: Committer
  readonly membership: () => Membership | null
  /** Takes a partition out of use; whoever holds records of it is told. */
  readonly drop: (partition: Partition, cause: unknown) => void
  /** A partition that was about to go is read on. */
  readonly resumed: () => void
}

export function createHandoff(setup: HandoffSetup): Handoff {
  const { connection, names, owned, committer, drop } = setup
  let round = 0

  const startOf = (topic: string, number: number) => ({
    topic,
    number,
    pattern: setup.pattern,
    readsAhead: names.main.endsWith('.dlq'),
  })

  /** Starts to read these where the group left off. False: the round is over. */
  const begin = async (membership: Membership, gained: Parts, isCurrent: () => boolean): Promise<boolean> => {
    const [commits, ends] = await Promise.all([membership.committed(gained), offsetsOf(connection, gained)])
    if (!isCurrent()) return false
    for (const [topic, list] of Object.entries(gained)) {
      for (const number of list) {
        const key = `${topic}/${number}`
        const end = ends.get(key)
        if (end === undefined) {
          throw new AdapterError('MQ_UNAVAILABLE', `partition ${key} has no leader`, { retryable: true })
        }
        const commit = commits.get(key)
        const fresh = topic === names.main && setup.startFrom === 'latest' ? end.high : end.low
        if (commit !== undefined && commit.offset < end.low)
          warnOfGap(connection.options.logger, topic, number, commit.offset, end.low)
        // A group that has commits begins nowhere: what is left behind them was sent to it.
        const offset = commit === undefined ? fresh : Math.max(commit.offset, end.low)
        // Where nothing waits, nobody died of anything.
        const known = commit !== undefined && offset === commit.offset && offset < end.high
        owned.set(
          key,
          createPartition({ ...startOf(topic, number), offset, metadata: known ? commit.metadata : null }),
        )
      }
    }
    return true
  }

  const handoff: Handoff = {
    abandon: () => void round++,

    async assigned(parts, more) {
      const membership = setup.membership()
      const mine = ++round
      const isCurrent = (): boolean =>
        mine === round && setup.membership() === membership && !connection.closed
      if (membership === null) return null
      const wanted = new Set(
        Object.entries(parts).flatMap(([topic, list]) => list.map((number) => `${topic}/${number}`)),
      )
      let left = false
      for (const [key, partition] of [...owned]) {
        if (wanted.has(key) || partition.isPinned) partition.leavingSince = null
        else if (partition.isSettled) {
          drop(partition, undefined)
          left = true
        } else partition.leavingSince ??= performance.now()
      }
      const gained: Record<string, number[]> = {}
      for (const [topic, list] of Object.entries(parts)) {
        const fresh = list.filter((number) => !owned.has(`${topic}/${number}`))
        if (fresh.length > 0) gained[topic] = fresh
      }
      // The others learn that it is free by the next round.
      if (left) membership.rejoin()
      while (Object.keys(gained).length > 0) {
        try {
          if (await begin(membership, gained, isCurrent)) break
          return null
        } catch (error) {
          connection.options.logger.debug(
            { group: names.group, error },
            'where to begin could not be read; trying again',
          )
          await pause(AGAIN_MS)
          if (!isCurrent()) return null
        }
      }
      // Who holds what is known before anything of it is handed out.
      await committer.commit(false)
      if (!isCurrent()) return null
      handoff.watchLeaving()
      return more || left
    },

    watchLeaving() {
      let next = Number.POSITIVE_INFINITY
      for (const partition of [...owned.values()]) {
        if (partition.leavingSince === null) continue
        const until = partition.leavingSince + (setup.membership()?.sessionMs ?? 0)
        if (partition.heldCount > 0) {
          if (performance.now() < until) next = Math.min(next, until)
          else {
            partition.pin()
            setup.membership()?.rejoin()
            setup.resumed()
          }
          continue
        }
        void committer.commit(true).then(() => {
          if (partition.gone || partition.leavingSince === null) return
          if (!partition.isSettled && performance.now() < until) {
            // The commit failed, and will be made again: what is done must not be repeated.
            setTimeout(handoff.watchLeaving, AGAIN_MS).unref()
            return
          }
          drop(partition, new AdapterError('MQ_LEASE_LOST', 'another consumer takes over this partition'))
          setup.membership()?.rejoin()
        })
      }
      if (next !== Number.POSITIVE_INFINITY)
        setTimeout(handoff.watchLeaving, next - performance.now() + 5).unref()
    },

    restart(old, offset) {
      drop(old, new AdapterError('MQ_LEASE_LOST', 'the log was replaced'))
      owned.set(
        `${old.topic}/${old.number}`,
        createPartition({ ...startOf(old.topic, old.number), offset, metadata: null }),
      )
    },
  }
  return handoff
}
