import { performance } from 'node:perf_hooks'
import { AdapterError, sharedController } from '@mq/core/adapter'
import { pause } from '../abort.ts'
import { warnOfAnother, warnOfGap } from './log-watch.ts'
import type { Committer } from './committer.ts'
import type { Connection } from '../connection.ts'
import type { Commit, Membership, Parts } from './membership-contract.ts'
import type { Names } from '../names.ts'
import type { TopicInfo } from '../log/protocol.ts'
import { byLeader, type LogEnds, offsetsOnce } from '../log/offsets.ts'
import { createPartition } from './partition.ts'
import type { Partition } from './partition-contract.ts'
import { isAbout, parseNotes } from './notes.ts'

const AGAIN_MS = 100
const MOST_AGAIN_MS = 1_000
/** How long a round waits for leaders: most are found soon, and whoever looks meanwhile should see all there is. */
const LEADERS_MS = 1_000

/** Takes partitions over, and gives them up, as the group decides. */
export interface Handoff {
  /** A round begins, or the group went on without this member: what is not read yet may be given to another by now. */
  abandon(): void
  /** A round's result. Resolves with whether another round will follow; `null` when one has begun meanwhile. */
  assigned(parts: Parts, more: boolean): Promise<boolean | null>
  /** Partitions that must go do so when nothing of them is held; where that takes long they stay after all. */
  readonly watchLeaving: () => void
  /** The log of a partition is another one by now. */
  restart(old: Partition, topicId: string, offset: number): void
}

export interface HandoffSetup {
  readonly connection: Connection
  readonly names: Names
  readonly ordered: boolean
  readonly pattern: string | undefined
  readonly hasRemovals: boolean
  readonly startFrom: 'earliest' | 'latest'
  readonly owned: Map<string, Partition>
  readonly committer: Committer
  readonly membership: () => Membership | null
  /** Takes a partition out of use; whoever holds records of it is told. */
  readonly drop: (partition: Partition, cause: unknown) => void
  /** A partition that was about to go is read on. */
  readonly resumed: () => void
}

/** What a round of the group gave to this member. */
interface Gain {
  isCurrent(): boolean
  readonly commits: ReadonlyMap<string, Commit>
  /** The round did not wait for what begins from now on. */
  late: boolean
}

export function createHandoff(setup: HandoffSetup): Handoff {
  const { connection, names, owned, committer, drop } = setup
  const { logger } = connection.options
  const leaderless = new Set<string>()
  /** How many partitions a topic had when the group began, as far as it says so, else when it was read here first; by its id. */
  const counts = new Map<string, number>()
  let round = 0

  const startOf = (topic: string, topicId: string, number: number) => ({
    topic,
    topicId,
    number,
    pattern: setup.pattern,
    partitions: topic === names.main && number === 0 ? counts.get(topicId) : undefined,
    delayedBytes: connection.options.delayedBytes,
    readsAhead: setup.hasRemovals,
    beside: () =>
      setup.ordered && names.mainIsShared
        ? owned.get(`${topic === names.main ? names.later : names.main}/${number}`)
        : undefined,
  })

  /** Starts to read these where the group left off. */
  const start = (
    { commits }: Gain,
    gained: Parts,
    known: ReadonlyMap<string, TopicInfo>,
    ends: ReadonlyMap<string, LogEnds>,
  ): void => {
    for (const [topic, list] of Object.entries(gained)) {
      const { id: topicId = '', leaders = [] } = known.get(topic) ?? {}
      const { metadata: notes } = commits.get(`${topic}/0`) ?? {}
      const told = isAbout(topicId, notes) ? parseNotes(0, notes).partitions : undefined
      const count = told ?? counts.get(topicId) ?? leaders.length
      counts.set(topicId, count)
      for (const number of list) {
        const key = `${topic}/${number}`
        const end = ends.get(key)
        if (end === undefined)
          throw new AdapterError('MQ_UNAVAILABLE', `nothing is known of ${key}`, { retryable: true })
        const commit = commits.get(key)
        // One that was added since holds nothing but what was sent to the group.
        const isLatest = topic === names.main && setup.startFrom === 'latest' && number < count
        const fresh = isLatest ? end.high : end.low
        // What was done lay behind the end: the log lost it, and what is written there by now, or will be, is something else.
        const done = parseNotes(commit?.offset ?? 0, commit?.metadata).done.at(-1)?.[1] ?? 0
        const lostEnd = done > end.high || !isAbout(topicId, commit?.metadata)
        if (lostEnd) warnOfAnother(logger, topic, number, Math.max(done, commit?.offset ?? 0), end)
        else if (commit !== undefined && commit.offset < end.low)
          warnOfGap(logger, topic, number, commit.offset, end.low)
        // A group that has commits begins nowhere: what is left behind them was sent to it.
        const left = lostEnd ? end.low : commit?.offset
        const offset = left === undefined ? fresh : Math.max(left, end.low)
        // Where nothing waits, nobody died of anything.
        const known = commit !== undefined && !lostEnd && offset === commit.offset && offset < end.high
        const metadata = known ? commit.metadata : null
        // Also where nothing waits: the log may have grown as long again.
        const epoch =
          !lostEnd && offset === commit?.offset ? parseNotes(offset, commit.metadata).epoch : undefined
        owned.set(key, createPartition({ ...startOf(topic, topicId, number), offset, metadata, epoch }))
        leaderless.delete(key)
      }
    }
  }

  /** Starts to read these, those of each leader by themselves: one that is missing must not hold up the others. Resolves when all are read, or the round is over. */
  const begin = async (gain: Gain, gained: Parts): Promise<void> => {
    for (let tries = 1; gain.isCurrent(); tries++) {
      try {
        const groups = [...(await byLeader(connection, gained)).values()]
        if (groups.length > 1) return void (await Promise.all(groups.map((each) => begin(gain, each))))
        // First the ids: a topic that is made anew after that is found out.
        const known = await connection.topics(Object.keys(gained), true)
        const ends = await offsetsOnce(connection, gained)
        if (!gain.isCurrent()) return
        start(gain, gained, known, ends)
        if (!gain.late) return
        await committer.commit(false)
        setup.resumed()
        return
      } catch (error) {
        logger.debug({ group: names.group, error }, 'where to begin could not be read; trying again')
        await pause(Math.min(tries * AGAIN_MS, MOST_AGAIN_MS))
      }
    }
  }

  /** What the group committed, however long that takes; `null` when the round is over. */
  const commitsOf = async (
    membership: Membership,
    gained: Parts,
    isCurrent: () => boolean,
  ): Promise<ReadonlyMap<string, Commit> | null> => {
    while (isCurrent()) {
      try {
        // The first one tells how many there were, whoever reads it.
        const ofMain = [...new Set([0, ...(gained[names.main] ?? [])])]
        const commits = await membership.committed({ ...gained, [names.main]: ofMain })
        return isCurrent() ? commits : null
      } catch (error) {
        logger.debug({ group: names.group, error }, 'what was committed could not be read; trying again')
        await pause(AGAIN_MS)
      }
    }
    return null
  }

  /** Says of each partition once, until there is a leader, that it is not read. */
  const warnOfLeaderless = (gained: Parts): void => {
    const keys = Object.entries(gained).flatMap(([topic, list]) => list.map((number) => `${topic}/${number}`))
    const news = keys.filter((key) => !owned.has(key) && !leaderless.has(key))
    for (const key of news) leaderless.add(key)
    if (news.length > 0)
      logger.warn(
        { group: names.group, partitions: news },
        'partitions have no leader that answers: they are read as soon as there is one',
      )
  }

  /** Starts to read what is gained, what has no leader later. False: the round is over. */
  const take = async (membership: Membership, gained: Parts, isCurrent: () => boolean): Promise<boolean> => {
    if (Object.keys(gained).length === 0) return true
    const commits = await commitsOf(membership, gained, isCurrent)
    if (commits === null) return false
    const gain: Gain = { commits, isCurrent, late: false }
    const patience = sharedController()
    await Promise.race([
      begin(gain, gained).finally(() => patience.abort()),
      pause(LEADERS_MS, patience.signal),
    ])
    gain.late = true
    if (!isCurrent()) return false
    warnOfLeaderless(gained)
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
      if (!(await take(membership, gained, isCurrent))) return null
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

    restart(old, topicId, offset) {
      drop(old, new AdapterError('MQ_LEASE_LOST', 'the log was replaced'))
      owned.set(
        `${old.topic}/${old.number}`,
        createPartition({ ...startOf(old.topic, topicId, old.number), offset, metadata: null }),
      )
    },
  }
  return handoff
}
