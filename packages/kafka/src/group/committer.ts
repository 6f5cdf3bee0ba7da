import { classify, errorType } from '../errors.ts'
import type { ConsumerSetup } from './consumer-contract.ts'
import type { Waiting } from './delayed.ts'
import type { CommitEntry, Membership } from './membership-contract.ts'
import { METADATA_LIMIT } from './notes.ts'
import type { LogRecord } from '../log/batch-reader.ts'
import { deleteRecords } from '../log/offsets.ts'
import type { Partition } from './partition-contract.ts'
import { isLeftOut } from './pattern.ts'
import { withRecords } from './recall.ts'
import { encodeAsIs } from '../wire.ts'

/** Least that they are cut to. */
const LEAST_METADATA = 64
/** Delayed records written anew in one go, when the notes of a commit overflow. */
const REWRITTEN = 50
/** How long after a fetch a topic is taken for what it was. */
const SEEN_MS = 1_000

/** Tells the group what is done, and lets go of what nobody needs any more. */
export interface Committer {
  /** A commit will come soon. */
  schedule(): void
  /**
   * Commits now. `clean`: nothing is held, or it is about to be given back; otherwise an end without another word counts against what is
   * held. Answers whether the group took it.
   */
  commit(clean: boolean): Promise<boolean>
  /** Nobody takes anything any more, so that every commit from now on is a clean one; `false`: somebody does after all. */
  ending(clean: boolean): void
  /** Deletes what is consumed, where that is wanted. */
  trim(): Promise<void>
  /** The last commit was refused, and the next will be. */
  readonly refused: boolean
  stop(): void
}

export interface CommitterSetup extends Pick<
  ConsumerSetup,
  'connection' | 'names' | 'pattern' | 'trims' | 'isAlone' | 'produceTo' | 'ensureLater'
> {
  readonly owned: ReadonlyMap<string, Partition>
  membership(): Membership | null
  /** Nothing is left of a topic that was replaced, as far as nothing was fetched for `ms`. Rejects where that cannot be known. */
  verify(ms: number): Promise<void>
  committed(): void
}

interface Due extends Omit<CommitEntry, 'partition'> {
  readonly partition: Partition
}

export function createCommitter(setup: CommitterSetup): Committer {
  const { connection, names, owned } = setup
  const { group } = names
  const { commitIntervalMs, logger } = connection.options
  let metadataLimit = METADATA_LIMIT
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let ending = false
  /** It was said that commits are refused for good. */
  let told = false
  let last: Promise<boolean> = Promise.resolve(true)

  const due = (clean: boolean): Due[] =>
    [...owned.values()].flatMap((partition) => {
      const entry = partition.commitEntry(!clean && !ending, metadataLimit)
      return entry === null ? [] : [{ partition, topic: partition.topic, ...entry }]
    })

  const commitNow = async (clean: boolean): Promise<boolean> => {
    const membership = setup.membership()
    if (membership === null || connection.closed) return true
    try {
      if (due(clean).length === 0) return true
      await setup.verify(SEEN_MS)
      const entries = due(clean)
      if (entries.length === 0) return true
      await membership.commit(entries.map((each) => ({ ...each, partition: each.partition.number })))
      told = false
      for (const { partition, offset, metadata } of entries) partition.committed(offset, metadata)
      setup.committed()
      const full = [...owned.values()].findLast(({ fits, delayed }) => !fits && delayed.size > 0)
      if (full !== undefined) void rewrite(full).catch(() => undefined)
      return true
    } catch (error) {
      const type = errorType(error)
      const hopeless = isHopeless(error, metadataLimit)
      if (type === 'OFFSET_METADATA_TOO_LARGE') metadataLimit = Math.max(LEAST_METADATA, metadataLimit >> 1)
      else if (
        type === 'UNKNOWN_MEMBER_ID' ||
        type === 'ILLEGAL_GENERATION' ||
        type === 'REBALANCE_IN_PROGRESS'
      ) {
        membership.poke()
      } else connection.forgetCoordinator(group)
      if (hopeless && !told)
        logger.warn({ group, error }, 'commits are refused: what is handled now comes again after a restart')
      else logger.debug({ group, error }, 'a commit failed; it will be made again')
      told ||= hopeless
      if (setup.membership() === membership && !connection.closed) committer.schedule()
      return false
    }
  }

  /** Where delayed records of this partition are written anew. What several groups read must not come to the others once more. */
  const againOf = async ({ topic, number }: Partition): Promise<{ topic: string; partition: number }> => {
    if (topic !== names.main || !names.mainIsShared) return { topic, partition: number }
    await setup.ensureLater()
    const count = (await connection.topic(names.later))?.leaders.length ?? 1
    return { topic: names.later, partition: number % count }
  }

  /** What waits longest goes to the end of the log once more, so that the notes need not tell all that is done behind it. */
  const rewrite = async (partition: Partition): Promise<void> => {
    // Out of the way meanwhile: one that becomes due while its copy is written would be handed out beside it.
    const old = partition.gone ? [] : partition.delayed.lowest(REWRITTEN)
    if (old.length === 0) return
    let left: readonly Waiting[] = old
    try {
      left = await withRecords(connection, partition, old)
      const whole = left.flatMap(({ record }) =>
        record === null || record.damage !== undefined ? [] : [record],
      )
      const records = whole.filter((record) => !isLeftOut(record, names, setup.pattern))
      if (records.length < whole.length) {
        for (const record of whole) if (!records.includes(record)) partition.complete(record.offset)
        committer.schedule()
      }
      if (records.length === 0) return
      const to = await againOf(partition)
      await setup.produceTo(to.topic, to.partition, records.map(encodeAsIs), (index) => {
        partition.complete((records[index] as LogRecord).offset)
        committer.schedule()
      })
    } finally {
      // Those that are not stored anew, or whose records one request did not bring.
      partition.delayAgain(left)
    }
  }

  const committer: Committer = {
    schedule() {
      if (stopped || timer !== undefined) return
      timer = setTimeout(() => {
        timer = undefined
        void committer.commit(false)
      }, commitIntervalMs)
      timer.unref()
    },
    commit(clean) {
      last = last.then(() => commitNow(clean)).catch(() => false)
      return last
    },
    ending(clean) {
      ending = clean
    },
    async trim() {
      const moved: { of: Partition; partition: number; offset: number }[] = []
      for (const of of [...owned.values()]) {
        const { base } = of.tracker
        if (base > of.trimmed && (await setup.trims(of.topic)))
          moved.push({ of, partition: of.number, offset: base })
      }
      // What is not committed must stay.
      if (moved.length === 0 || !(await committer.commit(false)) || !(await setup.isAlone())) return
      await setup.verify(0)
      const below: Record<string, typeof moved> = {}
      // What is gone is another's now, or was of another log.
      for (const each of moved) if (!each.of.gone) (below[each.of.topic] ??= []).push(each)
      await deleteRecords(connection, below)
      for (const { of, offset } of moved) of.trimmed = Math.max(of.trimmed, offset)
    },
    get refused() {
      return told
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
  return committer
}

/** Whether the same commit would be refused again and again, until somebody changes something. */
function isHopeless(error: unknown, metadataLimit: number): boolean {
  if (errorType(error) === 'OFFSET_METADATA_TOO_LARGE') return metadataLimit === LEAST_METADATA
  const { code, retryable } = classify(error)
  return !retryable && code !== 'MQ_QUEUE_NOT_FOUND'
}
