import { AdapterError, atMost } from '@mq/core/adapter'
import { pause, within } from '../abort.ts'
import type { LogRecord } from '../log/batch-reader.ts'
import { createCommitter } from './committer.ts'
import type { Consumer, ConsumerSetup } from './consumer-contract.ts'
import { createFetcher } from './fetcher.ts'
import { createHandoff } from './handoff.ts'
import { createHoldings } from './holdings.ts'
import { joinGroup } from './membership.ts'
import type { Membership, Parts } from './membership-contract.ts'
import { createLogWatch } from './log-watch.ts'
import { offsetsOfLed } from '../log/offsets.ts'
import { NO_HISTORY, type Partition } from './partition-contract.ts'
import { createRecall } from './recall.ts'
import { createSharing } from './sharing.ts'
import { createWaiters } from './waiters.ts'

const AGAIN_MS = 50
/** Longest that a copy waits for the commit of its original: a coordinator may say nothing, and what is done is done. */
const COMMIT_MS = 3_000
const MOVING_PATIENCE_MS = 1_000
const TRIM_EVERY_MS = 5_000

export function createConsumer(setup: ConsumerSetup): Consumer {
  const { connection, names } = setup
  const { options } = connection
  const lane = `fetch ${names.group} ${Math.random().toString(36).slice(2)}`
  const topics = [names.main, names.later]
  const holdings = createHoldings()
  const { owned, drop } = holdings
  const waiting = createWaiters()
  const assignedWaiters = createWaiters()
  const recall = createRecall(connection, owned, () => {
    if (holdings.readyCount() > 0 || waiting.size > 0) waiting.wake()
  })
  let membership: Membership | null = null
  /** Of the last round: another will follow, or one is under way. */
  let moving = true
  let error: unknown = null
  /** How often a log was another one: where it ended before says nothing. */
  let restarts = 0
  let trimTimer: NodeJS.Timeout | undefined
  let quietTimer: NodeJS.Timeout | undefined
  let patienceTimer: NodeJS.Timeout | undefined

  const hasRoom = (p: Partition): boolean =>
    !p.gone && p.leavingSince === null && !p.isFull && !p.delayed.isFull && (p.fits || p.heldCount === 0)

  const fetcher = createFetcher<Partition>({
    connection,
    lane,
    wanted: () => [...owned.values()].filter(hasRoom),
    crowded: () => [...owned.values()].some((p) => !hasRoom(p)),
    arrived(partition, logStart) {
      logWatch.seen(partition, logStart)
      if (partition.tracker.base > partition.trimmed || partition.readyCount > 0) committer.schedule()
      if (partition.readyCount > 0 || waiting.size > 0) waiting.wake()
      recall.watch()
    },
    outOfRange: (partition) => logWatch.outOfRange(partition),
    diverged: (partition, at) => logWatch.diverged(partition, at),
    replaced: (partition, topicId) => logWatch.replaced(partition, topicId),
    missing: (partition) => (partition.topic === names.later ? drop(partition, undefined) : missing()),
    failed: fail,
  })

  const missing = (): void =>
    fail(
      new AdapterError(
        'MQ_QUEUE_NOT_FOUND',
        `topic "${names.main}" (or what belongs to it) does not exist any more`,
      ),
    )
  const logWatch = createLogWatch({
    connection,
    owned,
    restart(old, topicId, offset) {
      restarts++
      handoff.restart(old, topicId, offset)
      committer.schedule()
      fetcher.poke()
      waiting.wake()
    },
  })
  const committer = createCommitter({
    ...setup,
    owned,
    membership: () => membership,
    verify: (ms) => logWatch.verify(ms),
    committed() {
      if (waiting.size > 0 && holdings.readyCount() > 0) waiting.wake()
    },
  })
  const handoff = createHandoff({
    connection,
    names,
    ordered: setup.ordered,
    pattern: setup.pattern,
    hasRemovals: setup.hasRemovals,
    startFrom: setup.startFrom,
    owned,
    committer,
    membership: () => membership,
    drop,
    resumed() {
      fetcher.poke()
      waiting.wake()
      recall.watch()
    },
  })

  // The group

  const sessionMs = (): number => membership?.sessionMs ?? options.sessionTimeoutMs
  const start = (): void => {
    if (membership !== null || error !== null) return
    moving = true
    membership = joinGroup({
      connection,
      group: names.group,
      topics,
      sessionTimeoutMs: options.sessionTimeoutMs,
      ghosts: setup.ghosts,
      hooks: {
        view() {
          // It says what is read: the rest may become another's.
          handoff.abandon()
          return sharing.view()
        },
        prepare: () => sharing.prepare(),
        assigned: (parts, more) => void assigned(parts, more),
        lost(cause) {
          handoff.abandon()
          holdings.dropAll(cause)
        },
        missing,
        failed: fail,
      },
    })
    trimTimer = setInterval(() => void committer.trim().catch(() => undefined), TRIM_EVERY_MS).unref()
    quietTimer = setInterval(() => sharing.shareWhenQuiet(), Math.min(1_000, sessionMs())).unref()
  }

  /** This process stood still for too long to know what it still owns; it soon hears. */
  const isSilent = (): boolean => {
    const silent = membership !== null && membership.silentFor() > membership.sessionMs
    if (silent) membership?.poke()
    return silent
  }

  /** Leaves the group until somebody asks again, if nothing is handed out and nobody asks now. */
  const rest = async (): Promise<boolean> => {
    const mine = membership
    if (mine === null || !sharing.isQuiet() || holdings.count > 0) return false
    await committer.commit(true)
    // Somebody may have asked meanwhile.
    if (membership !== mine || !sharing.isQuiet() || [...owned.values()].some((p) => !p.isSettled))
      return false
    membership = null
    clearInterval(trimTimer)
    clearInterval(quietTimer)
    holdings.dropAll(undefined)
    // Not awaited: its loop waits for this.
    void mine.stop(true, AbortSignal.timeout(1_000))
    return true
  }
  const sharing = createSharing({
    connection,
    names,
    pattern: setup.pattern,
    hasRemovals: setup.hasRemovals,
    ordered: setup.ordered,
    produceTo: setup.produceTo,
    ensureLater: setup.ensureLater,
    holdings,
    committer,
    membership: () => membership,
    sessionMs,
    moving: () => moving,
    rest,
  })

  const assigned = async (parts: Parts, more: boolean): Promise<void> => {
    // Of a round before: it must not end the wait for a later one.
    clearTimeout(patienceTimer)
    const follows = await handoff.assigned(parts, more)
    if (follows === null) return
    moving = follows
    if (!moving) assignedWaiters.wake()
    // Whoever looks once cannot wait for others to finish.
    else patienceTimer = setTimeout(() => assignedWaiters.wake(), MOVING_PATIENCE_MS).unref()
    fetcher.poke()
    waiting.wake()
    recall.watch()
  }

  function fail(reason: unknown): void {
    if (error !== null) return
    error = reason ?? new AdapterError('MQ_CONNECTION', 'the consumer ended', { retryable: true })
    end()
    holdings.dropAll(error)
    const mine = membership
    membership = null
    void mine?.stop(!connection.closed, AbortSignal.timeout(1_000))
    assignedWaiters.wake()
    waiting.wake()
    setup.ended(consumer)
  }
  const end = (): void => {
    committer.stop()
    recall.stop()
    clearInterval(trimTimer)
    clearInterval(quietTimer)
    fetcher.stop()
  }

  const consumer: Consumer = {
    get error() {
      return error
    },
    attach(taker) {
      holdings.attach(taker)
      if (!taker.pulls) {
        start()
        if (sharing.limited) membership?.rejoin()
      }
    },
    async detach(taker, signal) {
      // Left behind, not given back: that counts.
      const left = holdings.heldBy(taker)
      for (const record of left) {
        record.hold?.partition.leftBehind(record.offset)
        consumer.giveBack(record)
      }
      holdings.detach(taker)
      if (holdings.takers().length > 0 || error !== null) return waiting.wake()
      const mine = membership
      // Also what is committed after that: what is deleted then, or was about to be anyway.
      committer.ending(left.length === 0)
      await commitAtLast(left.length === 0, signal)
      if (holdings.takers().length > 0) return committer.ending(false)
      error = new AdapterError('MQ_CONNECTION', 'the consumer is closed', { retryable: true })
      setup.ended(consumer)
      await within(committer.trim(), 200, signal)
      membership = null
      end()
      holdings.dropAll(undefined)
      await mine?.stop(true, signal)
    },
    take(taker, max) {
      if (error !== null) throw error
      if (membership === null || isSilent()) return []
      const ready = holdings.readyCount()
      if (ready === 0) return []
      // What others wait for as well is shared.
      const share = Math.max(1, Math.ceil(ready / (waiting.size + 1)))
      const out = holdings.give(taker, Math.min(max, share), setup.ordered)
      if (out.length > 0) {
        fetcher.poke()
        recall.watch()
        // Those who look know by it that there is nothing else.
        if (taker.pulls) committer.schedule()
        // What is handed out alone is first told to the group.
      } else committer.schedule()
      return out
    },
    async wait(taker, ms, signal) {
      ask()
      try {
        if (error === null) await waiting.wait(signal, ms)
      } finally {
        sharing.asked()
      }
    },
    async look(taker, signal) {
      ask()
      try {
        while (isSilent() && error === null && !signal.aborted) await pause(AGAIN_MS, signal)
        for (let again = true; ; again = false) {
          if ((moving || sharing.limited) && error === null) await assignedWaiters.wait(signal)
          if (error !== null || signal.aborted) return true
          if (!(await readOn(signal))) return false
          // Others may have read more than they can do now: what is ready of it comes here by another round.
          if (!again || membership === null || error !== null || signal.aborted) return true
          if (!(await sharing.waitsElsewhere())) return true
          moving = true
          membership.rejoin()
        }
      } finally {
        sharing.asked()
      }
    },
    holds: (record) => record.hold !== null,
    complete(record) {
      const partition = letGo(record)
      if (partition === null) return false
      const wasPinned = partition.isPinned
      if (isSilent()) {
        // If it still is ours, it comes again.
        partition.giveBack(record)
        changed(partition)
        return false
      }
      partition.complete(record.offset)
      // What held it up is done: it may move now.
      if (wasPinned && !partition.isPinned) membership?.rejoin()
      changed(partition)
      return true
    },
    giveBack(record) {
      const partition = letGo(record)
      if (partition === null) return false
      partition.giveBack(record)
      changed(partition)
      return true
    },
    retryInPlace(record, dueAt) {
      const partition = letGo(record)
      if (partition === null) return false
      partition.retryInPlace(record, dueAt, Date.now())
      changed(partition)
      return true
    },
    historyOf(record) {
      return record.hold?.partition.historyOf(record.offset) ?? NO_HISTORY
    },
    flush: () => commitAtLast(false, AbortSignal.timeout(COMMIT_MS)),
    topicsChanged: () => membership?.rejoin(),
    async rest() {
      const mine = membership
      if (await rest()) await mine?.stop(true, AbortSignal.timeout(2_000))
    },
    purging(topic, number, below) {
      const partition = owned.get(`${topic}/${number}`)
      if (partition !== undefined) partition.droppedTo = Math.max(partition.droppedTo, below)
    },
    purged(topic, number, below) {
      const partition = owned.get(`${topic}/${number}`)
      if (partition === undefined) return 0
      const before = partition.heldCount
      partition.dropBelow(below)
      changed(partition)
      return before
    },
    async close(signal) {
      for (const taker of holdings.takers()) await consumer.detach(taker, signal)
    },
    fail,
  }

  /** A round of the group refuses commits for a moment: what is done must not be repeated because somebody came meanwhile. */
  const commitAtLast = async (clean: boolean, until: AbortSignal): Promise<void> => {
    const isTaken = async (): Promise<boolean> => (await committer.commit(clean)) || committer.refused
    const taken = async (): Promise<void> => {
      while (!(await isTaken()) && !until.aborted) await pause(AGAIN_MS, until)
    }
    await atMost(taken(), until)
  }
  /** Reads what is in the log at the call. False: something is ready before. */
  const readOn = async (signal: AbortSignal): Promise<boolean> => {
    const before = restarts
    const ends = await offsetsOfLed(connection, holdings.parts())
    while (!signal.aborted && error === null) {
      if (restarts !== before) return readOn(signal)
      let behind = false
      for (const p of owned.values()) {
        if (p.readyCount > 0) return false
        const high = ends.get(`${p.topic}/${p.number}`)?.high
        // What there is no room for is due later than can be remembered.
        if ((high !== undefined && p.position < high && !p.delayed.isFull) || recall.isAwaited(p))
          behind = true
      }
      if (!behind) return true
      await waiting.wait(signal)
    }
    return true
  }
  const changed = (partition: Partition): void => {
    committer.schedule()
    if (partition.leavingSince !== null && partition.heldCount === 0) handoff.watchLeaving()
    if (waiting.size > 0 && (partition.readyCount > 0 || partition.beside !== undefined)) waiting.wake()
    if (partition.delayed.size > 0) recall.watch()
    if (hasRoom(partition)) fetcher.poke()
  }
  /** The partition of a record that is handed out, and is so no longer. */
  const letGo = (record: LogRecord): Partition | null => {
    const partition = record.hold?.partition ?? null
    record.hold = null
    record.delivery = null
    return partition
  }
  const ask = (): void => {
    sharing.ask()
    start()
    if (sharing.limited) membership?.rejoin()
  }
  return consumer
}
