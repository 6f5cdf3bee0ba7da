import { performance } from 'node:perf_hooks'
import { NEVER, within } from '../abort.ts'
import type { MemberView } from './assignor.ts'
import type { Committer } from './committer.ts'
import type { Connection } from '../connection.ts'
import type { ConsumerSetup } from './consumer-contract.ts'
import { committedOf } from './groups.ts'
import type { Holdings } from './holdings.ts'
import type { Membership } from './membership-contract.ts'
import type { LogRecord } from '../log/batch-reader.ts'
import { offsetsOfLed } from '../log/offsets.ts'
import type { Partition } from './partition-contract.ts'
import { isLeftOut } from './pattern.ts'
import { parseNotes } from './notes.ts'
import { encodeAsIs } from '../wire.ts'

/** Ready records that one round moves out of the way of one partition. */
const MOVED_AT_ONCE = 32
/** Part of a session after which a round does not wait for what is moved any longer. */
const CLEARING_SHARE = 1 / 3
/** After so long without a call those that only pull let others have what waits, in ms. */
const PULL_PAUSE_MS = 500

/**
 * Who should have what is ready here. Partitions belong to whole processes: one that does not ask for messages now must not keep them
 * from others, and one that holds a message must not keep what lies behind it.
 */
export interface Sharing {
  /** Somebody here asks, or does so no longer. */
  ask(): void
  asked(): void
  /** Nobody here asks for messages now. */
  isQuiet(): boolean
  /** Told the group to give this member no more than it has. */
  readonly limited: boolean
  /** What this member reads and wants, at the beginning of a round. */
  view(): Omit<MemberView, 'id' | 'topics'>
  /** Gives up what can be given up, before a round. */
  prepare(): Promise<void>
  /** Lets the group know when messages wait here while everybody is busy. */
  shareWhenQuiet(): void
  /** Whether something that others read may be ready, and is not handed out. */
  waitsElsewhere(): Promise<boolean>
}

export interface SharingSetup extends Pick<
  ConsumerSetup,
  'names' | 'pattern' | 'hasRemovals' | 'ordered' | 'produceTo' | 'ensureLater'
> {
  readonly connection: Connection
  readonly holdings: Holdings
  readonly committer: Committer
  membership(): Membership | null
  sessionMs(): number
  /** A round is under way, or will follow. */
  moving(): boolean
  /** Leaves the group if nothing is handed out and nobody asks. */
  rest(): Promise<boolean>
}

export function createSharing(setup: SharingSetup): Sharing {
  const { connection, holdings, committer, names, pattern } = setup
  let asking = 0
  let lastAsked = performance.now()
  let limited = false

  const onlyPulls = (): boolean => holdings.takers().every((taker) => taker.pulls)
  // Those that only pull are quiet between two calls; others when they have enough to do for long.
  const isQuiet = (): boolean =>
    asking === 0 && (performance.now() - lastAsked > setup.sessionMs() || onlyPulls())
  // An order must stay, and so must the places that removals of dead letters name.
  const mayMove = !setup.ordered && !setup.hasRemovals

  /** Partitions that others read, or nobody; without a leader nobody can. */
  const notMine = async (): Promise<Record<string, number[]>> => {
    const known = await connection.topics([names.main, names.later])
    const parts: Record<string, number[]> = {}
    for (const [topic, { leaders }] of known) {
      for (const [number, leader = -1] of leaders.entries())
        if (leader >= 0 && !holdings.owned.has(`${topic}/${number}`)) (parts[topic] ??= []).push(number)
    }
    return parts
  }
  const hasOthers = (): boolean => setup.membership()?.hasOthers === true

  const dropSettled = (): void => {
    for (const partition of [...holdings.owned.values()])
      if (partition.isSettled && partition.beside?.isSettled !== false) holdings.drop(partition, undefined)
  }

  /** A partition that this member does not read: it goes to those that ask. */
  const elsewhere = async (): Promise<{ topic: string; partition: number } | null> => {
    await setup.ensureLater()
    // What several groups read must not come to the others once more.
    for (const topic of names.mainIsShared ? [names.later] : [names.later, names.main]) {
      const count = (await connection.topic(topic))?.leaders.length ?? 0
      for (let partition = 0; partition < count; partition++)
        if (!holdings.owned.has(`${topic}/${partition}`)) return { topic, partition }
    }
    return null
  }

  /** What is ready behind records that are held here is written anew where others read. */
  const clear = async (partition: Partition): Promise<void> => {
    const taken = partition.takeAside(MOVED_AT_ONCE)
    const records = taken.filter((record) => {
      if (isLeftOut(record, names, pattern)) partition.complete(record.offset)
      // What is damaged would not be so any more, and what failed in place would not have failed.
      else if (record.damage !== undefined || partition.historyOf(record.offset).failures > 0)
        partition.giveBack(record)
      else return true
      return false
    })
    if (records.length === 0) return
    const left = new Set(records)
    try {
      const to = await elsewhere()
      if (to === null) throw new Error('every partition is read here')
      await setup.produceTo(to.topic, to.partition, records.map(encodeAsIs), (index) => {
        const record = records[index] as LogRecord
        left.delete(record)
        partition.complete(record.offset)
      })
    } catch (error) {
      connection.options.logger.debug({ group: names.group, error }, 'what waits here could not be shared')
    }
    if (!partition.gone) for (const record of left) partition.giveBack(record)
  }

  return {
    ask: () => void asking++,
    asked() {
      asking--
      lastAsked = performance.now()
    },
    isQuiet,
    get limited() {
      return limited
    },
    view() {
      const only = isQuiet()
      limited = only
      if (only) {
        // What is not said to be owned goes to others by this very round: from here on it must not be handed out, and nothing of it may be left to commit.
        dropSettled()
      }
      return {
        owned: holdings.parts(),
        pinned: holdings.parts((partition) => partition.isPinned),
        only,
        together: setup.ordered && names.mainIsShared,
      }
    },
    async prepare() {
      // One that only pulls, and holds nothing, leaves the floor to others.
      if (await setup.rest()) return
      await committer.commit(true)
      if (!isQuiet()) return
      // One that holds something keeps that, and no more.
      dropSettled()
      if (!mayMove || !hasOthers()) return
      const held = [...holdings.owned.values()].filter((p) => p.heldCount > 0 && p.readyCount > 0)
      // A leader that says nothing must not cost this member its session; what is written after all is done then.
      await within(Promise.all(held.map(clear)), setup.sessionMs() * CLEARING_SHARE, NEVER)
      await committer.commit(false)
    },
    shareWhenQuiet() {
      if (setup.moving() || !isQuiet() || !hasOthers()) return
      if (onlyPulls() && performance.now() - lastAsked < PULL_PAUSE_MS) return
      const waits = ({ readyCount, heldCount, beside }: Partition): boolean =>
        readyCount > 0 && (heldCount + (beside?.heldCount ?? 0) === 0 || mayMove)
      if ([...holdings.owned.values()].some(waits)) setup.membership()?.rejoin()
    },
    async waitsElsewhere() {
      const parts = await notMine()
      if (setup.membership() === null || Object.keys(parts).length === 0) return false
      // By nobody's membership: a coordinator that moves is asked again.
      const [commits, ends] = await Promise.all([
        committedOf(connection, names.group, parts),
        offsetsOfLed(connection, parts),
      ])
      return [...ends].some(([key, { low, high }]) => {
        const commit = commits.get(key)
        const base = Math.max(commit?.offset ?? low, low)
        const { done, heldCount } = parseNotes(base, commit?.metadata)
        return done.reduce((left, [from, to]) => left - (to - from), high - base) > heldCount
      })
    },
  }
}
