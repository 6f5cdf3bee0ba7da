/* eslint-disable max-lines -- One closure over the state of a group's member; to be split before the first release. */
import { AdapterError } from '@mq/core/adapter'
import { pause, within } from './abort.ts'
import type { LogRecord } from './batch-reader.ts'
import type { Consumer, ConsumerSetup, Taker } from './consumer-contract.ts'
import { createCommitter } from './committer.ts'
import { createWaiters } from './waiters.ts'
import { createFetcher } from './fetcher.ts'
import { createHandoff } from './handoff.ts'
import { joinGroup, type Membership, type Parts } from './membership.ts'
import { offsetsOf } from './offsets.ts'
import type { Partition } from './partition.ts'

/** Bytes of one partition that wait to be handed out, above which it is not read on. */
const HIGH_WATER = 1024 * 1024
const FLUSH_TRIES = 40
const MOVING_PATIENCE_MS = 1_000
const TRIM_EVERY_MS = 5_000
export function createConsumer(setup: ConsumerSetup): Consumer {
  const { connection, names } = setup
  const { options } = connection
  const lane = `fetch ${names.group} ${Math.random().toString(36).slice(2)}`
  const topics = [names.main, names.later]
  const takers = new Map<Taker, Set<LogRecord>>()
  const owners = new Map<LogRecord, Taker>()
  const owned = new Map<string, Partition>()
  const waiting = createWaiters()
  const assignedWaiters = createWaiters()
  let membership: Membership | null = null
  /** Of the last round: another will follow, or one is under way. */
  let moving = true
  /** Told the group to give it no more than it has. */
  let limited = false
  let asking = 0
  let lastAsked = performance.now()
  let error: unknown = null
  let dueTimer: NodeJS.Timeout | undefined
  let trimTimer: NodeJS.Timeout | undefined
  let quietTimer: NodeJS.Timeout | undefined

  const hasRoom = (p: Partition): boolean =>
    !p.gone &&
    p.leavingSince === null &&
    p.readyBytes < HIGH_WATER &&
    p.delayedBytes < options.delayedBytes &&
    (p.fits || p.heldCount === 0)

  const fetcher = createFetcher<Partition>({
    connection,
    lane,
    wanted: () => [...owned.values()].filter(hasRoom),
    crowded: () => [...owned.values()].some((p) => !hasRoom(p)),
    arrived(partition, logStart) {
      if (logStart > partition.tracker.base) partition.dropBelow(logStart)
      if (partition.tracker.base > partition.trimmed || partition.readyCount > 0) committer.schedule()
      if (partition.readyCount > 0 || waiting.size > 0) waiting.wake()
      watchDue()
    },
    async outOfRange(partition) {
      const ends = await offsetsOf(connection, { [partition.topic]: [partition.number] })
      const end = ends.get(`${partition.topic}/${partition.number}`)
      if (end === undefined || partition.gone) return
      if (partition.position < end.low) partition.dropBelow(end.low)
      else {
        // The log is another one: the topic was made anew, or its end was lost with its leader. Better twice than never.
        handoff.restart(partition, end.low)
        waiting.wake()
      }
    },
    missing: (partition) =>
      partition.topic === names.later
        ? drop(partition, undefined)
        : fail(
            new AdapterError(
              'MQ_QUEUE_NOT_FOUND',
              `topic "${names.main}" (or what belongs to it) does not exist any more`,
            ),
          ),
  })

  /** Takes a partition out of use; who holds records of it is told. */
  const drop = (partition: Partition, cause: unknown): void => {
    partition.gone = true
    owned.delete(`${partition.topic}/${partition.number}`)
    const gone = new Map<Taker, LogRecord[]>()
    for (const [record, taker] of owners) {
      if (record.topic !== partition.topic || record.partition !== partition.number) continue
      owners.delete(record)
      takers.get(taker)?.delete(record)
      const list = gone.get(taker)
      if (list === undefined) gone.set(taker, [record])
      else list.push(record)
    }
    for (const [taker, records] of gone) taker.lost(records, cause)
  }

  const committer = createCommitter({
    connection,
    group: names.group,
    owned,
    membership: () => membership,
    trims: setup.trims,
    produceTo: setup.produceTo,
    committed() {
      if (waiting.size > 0 && [...owned.values()].some((p) => p.readyCount > 0)) waiting.wake()
    },
  })
  const handoff = createHandoff({
    connection,
    names,
    pattern: setup.pattern,
    startFrom: setup.startFrom,
    owned,
    committer,
    membership: () => membership,
    drop,
  })

  // The group

  /** Nobody here asks for messages now: those that only pull, and those that have enough to do for long, must not keep them from others. */
  const isQuiet = (): boolean =>
    asking === 0 &&
    (performance.now() - lastAsked > sessionMs() || [...takers.keys()].every((taker) => taker.pulls))
  const sessionMs = (): number => membership?.sessionMs ?? options.sessionTimeoutMs
  const start = (): void => {
    if (membership !== null || error !== null) return
    moving = true
    const ghost = setup.ghosts.get(names.group)
    setup.ghosts.delete(names.group)
    const mine = joinGroup({
      connection,
      group: names.group,
      topics,
      sessionTimeoutMs: options.sessionTimeoutMs,
      ghost,
      hooks: {
        view() {
          const idle = isQuiet()
          limited = idle
          const parts: Record<string, number[]> = {}
          for (const p of owned.values()) if (!idle || p.heldCount > 0) (parts[p.topic] ??= []).push(p.number)
          return { owned: parts, only: idle }
        },
        async prepare() {
          // One that only pulls, and holds nothing, leaves the floor to others.
          if (await rest()) return
          await committer.commit(true)
          if (!isQuiet()) return
          // One that holds something keeps that, and no more.
          for (const p of [...owned.values()]) if (p.isSettled) drop(p, undefined)
        },
        assigned: (parts, more) => void assigned(parts, more),
        lost(cause) {
          for (const partition of [...owned.values()]) drop(partition, cause)
        },
        failed: fail,
      },
    })
    membership = mine
    trimTimer = setInterval(() => void committer.trim().catch(() => undefined), TRIM_EVERY_MS)
    trimTimer.unref()
    quietTimer = setInterval(shareWhenQuiet, Math.min(1_000, sessionMs()))
    quietTimer.unref()
  }

  /** Messages that wait here, while everybody is busy, are for others if there are any. */
  const shareWhenQuiet = (): void => {
    if (moving || limited || !isQuiet() || [...takers.keys()].every((taker) => taker.pulls)) return
    if ([...owned.values()].some((p) => p.readyCount > 0 && p.heldCount === 0)) membership?.rejoin()
  }

  /** Leaves the group until somebody asks again, if nothing is handed out and nobody asks now. */
  const rest = async (): Promise<boolean> => {
    const mine = membership
    if (mine === null || !isQuiet() || owners.size > 0) return false
    await committer.commit(true)
    // Somebody may have asked meanwhile.
    if (membership !== mine || !isQuiet() || [...owned.values()].some((p) => !p.isSettled)) return false
    membership = null
    clearInterval(trimTimer)
    clearInterval(quietTimer)
    for (const partition of [...owned.values()]) drop(partition, undefined)
    // Not awaited: its loop waits for this.
    void mine.stop(true, AbortSignal.timeout(1_000))
    return true
  }

  const assigned = async (parts: Parts, more: boolean): Promise<void> => {
    const follows = await handoff.assigned(parts, more)
    if (follows === null) return
    moving = follows
    if (!moving) assignedWaiters.wake()
    // Whoever looks once cannot wait for others to finish.
    else setTimeout(() => assignedWaiters.wake(), MOVING_PATIENCE_MS).unref()
    fetcher.poke()
    waiting.wake()
  }

  const watchDue = (): void => {
    clearTimeout(dueTimer)
    let next = Number.POSITIVE_INFINITY
    for (const partition of owned.values()) next = Math.min(next, partition.nextDue)
    if (next === Number.POSITIVE_INFINITY) return
    dueTimer = setTimeout(
      () => {
        waiting.wake()
        watchDue()
      },
      Math.min(Math.max(1, next - Date.now()), 2 ** 31 - 1),
    )
    dueTimer.unref()
  }

  function fail(reason: unknown): void {
    if (error !== null) return
    error = reason ?? new AdapterError('MQ_CONNECTION', 'the consumer ended', { retryable: true })
    if (membership !== null && membership.memberId !== '') setup.ghosts.set(names.group, membership.memberId)
    end()
    for (const partition of [...owned.values()]) drop(partition, error)
    const mine = membership
    membership = null
    void mine?.stop(!connection.closed, AbortSignal.timeout(1_000))
    assignedWaiters.wake()
    waiting.wake()
    setup.ended(consumer)
  }
  const end = (): void => {
    committer.stop()
    clearTimeout(dueTimer)
    clearInterval(trimTimer)
    clearInterval(quietTimer)
    fetcher.stop()
  }

  const consumer: Consumer = {
    get error() {
      return error
    },
    attach(taker) {
      takers.set(taker, new Set())
      if (!taker.pulls) {
        start()
        if (limited) membership?.rejoin()
      }
    },
    async detach(taker, signal) {
      // Left behind, not given back: that counts.
      const left = [...(takers.get(taker) ?? [])]
      for (const record of left) {
        owned.get(`${record.topic}/${record.partition}`)?.leftBehind(record.offset)
        consumer.giveBack(record)
      }
      takers.delete(taker)
      if (takers.size > 0 || error !== null) {
        waiting.wake()
        return
      }
      const mine = membership
      await within(committer.commit(left.length === 0), 5_000, signal)
      if (takers.size > 0) return
      error = new AdapterError('MQ_CONNECTION', 'the consumer is closed', { retryable: true })
      setup.ended(consumer)
      await within(committer.trim(), 200, signal)
      membership = null
      end()
      for (const partition of [...owned.values()]) drop(partition, undefined)
      // The group may not hear of it any more.
      if (signal.aborted && mine !== null && mine.memberId !== '')
        setup.ghosts.set(names.group, mine.memberId)
      await mine?.stop(true, signal)
    },
    take(taker, max) {
      if (error !== null) throw error
      const mine = takers.get(taker)
      if (mine === undefined || membership === null) return []
      const now = Date.now()
      let readyCount = 0
      for (const partition of owned.values()) readyCount += partition.readyCount
      if (readyCount === 0) return []
      // What others wait for as well is shared.
      let room = Math.min(max, Math.max(1, Math.ceil(readyCount / (waiting.size + 1))))
      const out: LogRecord[] = []
      const tried = new Set<Partition>()
      while (room > 0) {
        const oldest = oldestOf(tried, taker.pulls)
        if (oldest === null) break
        const { partition, alone } = oldest
        const got = partition.take(
          alone ? room : room > 32 && !taker.pulls ? 8 : 1,
          taker,
          setup.ordered,
          now,
        )
        if (got.length === 0) {
          tried.add(partition)
          continue
        }
        room -= got.length
        for (const record of got) {
          out.push(record)
          mine.add(record)
          owners.set(record, taker)
        }
        // Of equals the one that waited longest for its turn: as the sender went round them.
        const key = `${partition.topic}/${partition.number}`
        owned.delete(key)
        owned.set(key, partition)
      }
      if (out.length > 0) {
        fetcher.poke()
        watchDue()
      }
      return out
    },
    async wait(taker, ms, signal) {
      ask()
      try {
        if (error === null) await waiting.wait(signal, ms)
      } finally {
        released()
      }
    },
    async look(taker, signal) {
      ask()
      try {
        if ((moving || limited) && error === null) await assignedWaiters.wait(signal)
        if (error !== null || signal.aborted) return true
        const parts: Record<string, number[]> = {}
        for (const p of owned.values()) (parts[p.topic] ??= []).push(p.number)
        const ends = await offsetsOf(connection, parts)
        while (!signal.aborted && error === null) {
          let behind = false
          for (const p of owned.values()) {
            if (p.readyCount > 0) return false
            const high = ends.get(`${p.topic}/${p.number}`)?.high
            if (high !== undefined && p.position < high) behind = true
          }
          if (!behind) return true
          await waiting.wait(signal)
        }
        return true
      } finally {
        released()
      }
    },
    holds: (record) => holding(record) !== null,
    complete(record) {
      const partition = holding(record)
      if (partition === null) return false
      forget(record)
      if (membership !== null && membership.silentFor() > membership.sessionMs) {
        // This process stood still for too long to know; if it still is ours, it comes again.
        partition.giveBack(record)
        membership.poke()
        changed(partition)
        return false
      }
      partition.complete(record.offset)
      changed(partition)
      return true
    },
    giveBack(record) {
      const partition = holding(record)
      if (partition === null) return false
      forget(record)
      partition.giveBack(record)
      changed(partition)
      return true
    },
    retryInPlace(record, dueAt) {
      const partition = holding(record)
      if (partition === null) return false
      forget(record)
      partition.retryInPlace(record, dueAt, Date.now())
      changed(partition)
      return true
    },
    historyOf(record) {
      const partition = owned.get(`${record.topic}/${record.partition}`)
      const { offset } = record
      return {
        failures: partition?.failuresOf(offset) ?? 0,
        firstFailedAt: partition?.firstFailureOf(offset),
        stalls: partition?.stallsOf(offset) ?? 0,
      }
    },
    async flush() {
      // A round of the group takes a moment.
      for (let tries = 0; tries < FLUSH_TRIES && !(await committer.commit(false)); tries++) await pause(50)
    },
    topicsChanged: () => membership?.rejoin(),
    async rest() {
      const mine = membership
      if (await rest()) await mine?.stop(true, AbortSignal.timeout(2_000))
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
      for (const taker of [...takers.keys()]) await consumer.detach(taker, signal)
    },
    fail,
  }

  /**
   * The partition whose next record is the oldest, and whether there is no other with any. `gather`: one of which something is held
   * already comes first, so that the others can go to whoever asks for them.
   */
  const oldestOf = (
    without: ReadonlySet<Partition>,
    gather: boolean,
  ): { partition: Partition; alone: boolean } | null => {
    let best: Partition | null = null
    let bestTime = 0
    let bestHeld = false
    let ready = 0
    for (const partition of owned.values()) {
      if (without.has(partition) || partition.readyCount === 0) continue
      ready++
      const time = partition.nextTime
      const held = gather && partition.heldCount > 0
      if (best === null || (held && !bestHeld) || (held === bestHeld && time < bestTime)) {
        best = partition
        bestTime = time
        bestHeld = held
      }
    }
    return best === null ? null : { partition: best, alone: ready === 1 }
  }
  const holding = (record: LogRecord): Partition | null => {
    if (!owners.has(record)) return null
    const partition = owned.get(`${record.topic}/${record.partition}`)
    return partition === undefined || partition.gone || !partition.isHeld(record.offset) ? null : partition
  }
  const forget = (record: LogRecord): void => {
    const taker = owners.get(record)
    owners.delete(record)
    if (taker !== undefined) takers.get(taker)?.delete(record)
  }
  const changed = (partition: Partition): void => {
    committer.schedule()
    if (partition.leavingSince !== null && partition.heldCount === 0) handoff.watchLeaving()
    if (waiting.size > 0 && partition.readyCount > 0) waiting.wake()
    if (partition.delayedBytes > 0) watchDue()
    if (hasRoom(partition)) fetcher.poke()
  }
  const ask = (): void => {
    asking++
    start()
    if (limited) membership?.rejoin()
  }
  const released = (): void => {
    asking--
    lastAsked = performance.now()
  }
  return consumer
}
