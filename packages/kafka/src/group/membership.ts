import { performance } from 'node:perf_hooks'
import type { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { AdapterError, atMost, sharedController } from '@mq/core/adapter'
import { NEVER, pause, within } from '../abort.ts'
import { assign } from './assignor.ts'
import type { Link } from '../client.ts'
import { classify, errorType, isConnectionError } from '../errors.ts'
import { byTopic, committedBy } from './commits.ts'
import type { Membership, MembershipSetup } from './membership-contract.ts'
import { countsOf, decodeAssignment, decodeView, encodeAssignment, encodeView } from './round.ts'
import { otherSessions } from './sessions.ts'

/** Name of the way in which members of a group agree; others cannot join the same group. */
const PROTOCOL = 'mq'
/** How often partitions and topics that were added are looked for, in ms. */
const LOOK_AGAIN_MS = 30_000
/** The same, while a topic is missing: it is made when it is needed first. */
const MISSING_MS = 400
/** How often a member says that it lives, and hears whether another one came, in ms. */
const BEAT_MS = 250
/** The same, where it gets out of the way. */
const QUICK_MS = 100
const RETRY_MS = 100
/** How long it is waited for what the leader of a round decides while that refuses commits; twice as long where that was not enough. */
const LEADER_MS = 1_000
/** Longest that a member waits for its leave to be confirmed. */
const LEAVE_MS = 2_000

/** One membership of a consumer group: joins, says that it lives, and joins again whenever the group changes. */
export function joinGroup(setup: MembershipSetup): Membership {
  const { connection, group, topics, ghosts, hooks } = setup
  const lane = `group ${group} ${Math.random().toString(36).slice(2)}`
  const ended = sharedController()
  let memberId = ''
  let generation = -1
  /** The same, of a round that may not be over. */
  let round = -1
  /** Since when what the leader decides is waited for. */
  let undecidedSince = Number.POSITIVE_INFINITY
  /** Rounds that were broken for that. */
  let broken = 0
  let patienceMs = LEADER_MS
  let sessionMs = Math.max(setup.sessionTimeoutMs, 1_000)
  const sessions = otherSessions(sessionMs)
  let lastSign = performance.now()
  /** When the coordinator last took this member for one. */
  let heardAt = lastSign
  /** It was said that nothing is heard of it. */
  let told = false
  let again = false
  let only = false
  let wake: (() => void) | null = null
  let counts = ''
  let hasOthers = false
  let looking = false
  /** How often in a row the first of the topics was not there. */
  let missed = 0
  let lookAt = 0
  let joining = false
  let goodbye: Promise<void> | null = null

  /** Whoever says nothing for so long is not waited for: where another took its place, this member's session there is not over yet. */
  const silentMs = (): number => Math.min(connection.options.requestTimeoutMs, sessionMs / 3)
  const find = (over: string): Promise<Link> => {
    const found = sharedController()
    const patience = pause(silentMs(), found.signal).then(() => {
      throw new AdapterError('MQ_UNAVAILABLE', 'the coordinator of the group says nothing', {
        retryable: true,
      })
    })
    return Promise.race([connection.coordinator(group, over), patience]).finally(() => found.abort())
  }
  const coordinator = (): Promise<Link> => find(lane)
  /** What follows a join on its socket is read after the round that it waits for, for a session of a member that died. */
  const beside = (): Promise<Link> => find(joining ? `${lane} beside` : lane)
  const requestMs = (): number => Math.max(1_000, Math.min(connection.options.requestTimeoutMs, sessionMs))

  const beatMs = (): number => Math.max(50, Math.min(BEAT_MS, sessionMs / 5))
  const poke = (): void => wake?.()
  const heard = (): void => {
    lastSign = heardAt = performance.now()
    told = false
  }

  const join = async (): Promise<void> => {
    again = false
    const view = hooks.view()
    only = view.only
    const metadata = encodeView(topics, view, broken)
    const link = await coordinator()
    ended.signal.throwIfAborted()
    const args = {
      groupId: group,
      sessionTimeout: sessionMs,
      rebalanceTimeout: sessionMs,
      memberId,
      protocolType: 'consumer',
      groupProtocols: [{ name: PROTOCOL, metadata }],
    }
    const joined = await link.call<{
      generationId: number
      leaderId: string
      memberId: string
      members: readonly { memberId: string; memberMetadata: Buffer }[]
    }>('JoinGroup', args, sessionMs + 5_000)
    memberId = joined.memberId
    ended.signal.throwIfAborted()
    undecidedSince = lastSign = performance.now()
    round = joined.generationId
    let groupAssignment: { memberId: string; memberAssignment: Buffer }[] = []
    if (joined.leaderId === joined.memberId) groupAssignment = await decide(joined.members)
    const synced = await link.call<{ memberAssignment: Buffer }>(
      'SyncGroup',
      { groupId: group, generationId: joined.generationId, memberId, groupAssignment },
      sessionMs + 5_000,
    )
    generation = joined.generationId
    patienceMs = LEADER_MS
    heard()
    const { parts, moving, others } = decodeAssignment(synced.memberAssignment)
    hasOthers = others
    if (!ended.signal.aborted) hooks.assigned(parts, moving)
  }

  /** This member leads the round. */
  const decide = async (
    members: readonly { memberId: string; memberMetadata: Buffer }[],
  ): Promise<{ memberId: string; memberAssignment: Buffer }[]> => {
    const views = members.map((each) => decodeView(each.memberId, each.memberMetadata))
    const names = [...new Set(views.flatMap((view) => view.topics))]
    const known = await connection.topics(names, true)
    const partitions = Object.fromEntries(names.map((name) => [name, known.get(name)?.leaders.length ?? 0]))
    counts = countsOf(topics, partitions)
    const { byMember, moving } = assign(views, partitions)
    return views.map(({ id }) => ({
      memberId: id,
      memberAssignment: encodeAssignment(byMember.get(id) ?? {}, moving, views.length > 1),
    }))
  }

  const beat = async (link: Link, groupGenerationId: number): Promise<void> => {
    await link.call('Heartbeat', { groupId: group, groupGenerationId, memberId }, silentMs())
    heard()
  }
  /** While a round waits, which where others have longer sessions may take longer than one: the group keeps who waits. Never rejects. */
  const beatBeside = async (over: AbortSignal): Promise<void> => {
    for (await pause(beatMs(), over); !over.aborted && !ended.signal.aborted; await pause(beatMs(), over)) {
      if (round < 0) continue
      const beating = beside().then((link) => beat(link, round))
      await beating.catch((error: unknown) => {
        if (errorType(error) === 'REBALANCE_IN_PROGRESS') heard()
        // Who answers nothing here will not answer the join.
        else if (errorType(error) === null && !over.aborted) connection.endLane(lane)
      })
    }
  }

  /** Whether all topics are there. */
  const lookAgain = async (): Promise<boolean> => {
    const before = generation
    const known = await connection.topics(topics, true)
    // Whoever led a round meanwhile knows better.
    if (generation !== before) return false
    // Whoever has none of its partitions, or cannot begin, does not find out otherwise. Twice: what is new is not known everywhere at once.
    missed = known.has(topics[0] ?? '') ? 0 : missed + 1
    if (missed > 1 && !ended.signal.aborted) hooks.missing()
    const now = countsOf(
      topics,
      Object.fromEntries([...known].map(([name, info]) => [name, info.leaders.length])),
    )
    if (counts !== '' && now !== counts) again = true
    counts = now
    return known.size === topics.length
  }

  /** Looks beside the signs of life: who answers about topics may have much else to do first, and they must not wait for that. */
  const lookBeside = (): void => {
    if (looking || performance.now() <= lookAt) return
    looking = true
    void lookAgain()
      .catch(() => false)
      .then((complete) => {
        looking = false
        lookAt = performance.now() + (complete ? LOOK_AGAIN_MS : MISSING_MS)
        if (again) poke()
      })
  }

  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(end, ms)
      function end(): void {
        clearTimeout(timer)
        wake = null
        resolve()
      }
      wake = end
      if (ended.signal.aborted) end()
    })

  /** What to do about an error; resolves when the loop may go on. */
  const recover = async (error: unknown): Promise<void> => {
    if (types.isNativeError(error) && error.name === 'KafkaJSMemberIdRequired') {
      // From now on the group waits for it.
      memberId = (error as Error & { memberId: string }).memberId
      return
    }
    if (ended.signal.aborted) return
    switch (errorType(error) ?? '') {
      case 'REBALANCE_IN_PROGRESS':
        again = true
        return
      case 'UNKNOWN_MEMBER_ID':
        forget(error)
        memberId = ''
        return
      case 'ILLEGAL_GENERATION':
        forget(error)
        return
      case 'INVALID_SESSION_TIMEOUT':
        takeSession()
        return
      case 'GROUP_LOAD_IN_PROGRESS':
      case 'GROUP_COORDINATOR_NOT_AVAILABLE':
        // Nobody is given anything meanwhile, and all sessions begin anew.
        heardAt = performance.now()
    }
    // Not silent by its own doing: a broker that comes back knows this member still.
    lastSign = performance.now()
    const { code, retryable } = classify(error)
    if (!retryable && code !== 'MQ_QUEUE_NOT_FOUND') {
      ended.abort()
      hooks.failed(error)
      return
    }
    if (performance.now() - heardAt > sessionMs) await missing(error)
    connection.forgetCoordinator(group)
    if (isConnectionError(error)) connection.endLane(lane)
    await pause(RETRY_MS, ended.signal)
  }
  /** Where the cluster can be reached, and its coordinator only from here not, others have its partitions by now. */
  const missing = async (error: unknown): Promise<void> => {
    if (!told)
      connection.options.logger.warn(
        { group, error },
        'the coordinator of the group was not heard of for a session; trying again',
      )
    told = true
    if (generation < 0) return
    const answers = await connection.topics(topics, true).then(
      () => true,
      () => false,
    )
    if (answers && !ended.signal.aborted) forget(error)
  }
  const takeSession = (): void => {
    const { value } = sessions.next()
    if (value !== undefined) return void (sessionMs = value)
    ended.abort()
    hooks.failed(
      new AdapterError(
        'MQ_CONFIGURATION',
        `the brokers refuse a session of ${setup.sessionTimeoutMs} ms, and all others that were tried: set sessionTimeoutMs to one ` +
          'between their group.min.session.timeout.ms and their group.max.session.timeout.ms',
      ),
    )
  }
  /** A leader that died after the others had joined is missed a session later; in a round that begins anew commits are taken. */
  const insist = (): void => {
    if (performance.now() - undecidedSince < patienceMs) return
    patienceMs *= 2
    undecidedSince = Number.POSITIVE_INFINITY
    broken++
    connection.endLane(lane)
  }
  const forget = (cause: unknown): void => {
    generation = round = -1
    hooks.lost(cause)
  }

  const run = async (): Promise<void> => {
    const ghost = ghosts.get(group)
    // Else the group would wait for it until its session is over.
    if (ghost !== undefined) await leave(ghost).catch(() => undefined)
    while (!ended.signal.aborted && !connection.closed) {
      try {
        if (generation < 0 || again) {
          if (generation >= 0) await hooks.prepare()
          if (ended.signal.aborted) continue
          joining = true
          const over = sharedController()
          void beatBeside(over.signal)
          await join()
            .catch((error: unknown) => {
              // What it gave up for this round comes by another, even where the group knows of none.
              again = true
              throw error
            })
            .finally(() => {
              joining = false
              undecidedSince = Number.POSITIVE_INFINITY
              over.abort()
            })
          continue
        }
        await wait(only ? Math.min(QUICK_MS, beatMs()) : beatMs())
        if (ended.signal.aborted || again) continue
        await beat(await coordinator(), generation)
        lookBeside()
      } catch (error) {
        await recover(error)
      }
    }
  }
  const leave = async (id: string): Promise<void> => {
    const link = await beside()
    await link.call('LeaveGroup', { groupId: group, memberId: id }, requestMs()).catch((error: unknown) => {
      if (errorType(error) !== 'UNKNOWN_MEMBER_ID') throw error
    })
    if (ghosts.get(group) === id) ghosts.delete(group)
  }
  /** Until the coordinator says that it is gone, whoever joins here next knows whom the group waits for. */
  const sayGoodbye = async (leaving: boolean): Promise<void> => {
    // The first answer to a join names the member, and comes at once.
    if (memberId === '' && joining && !connection.closed) await loop
    if (memberId === '') return
    ghosts.set(group, memberId)
    if (leaving && !connection.closed) await leave(memberId)
  }
  const loop = run()

  return {
    get memberId() {
      return memberId
    },
    get sessionMs() {
      return sessionMs
    },
    get hasOthers() {
      return hasOthers
    },
    silentFor: () => performance.now() - lastSign,
    rejoin() {
      again = true
      poke()
    },
    poke,
    async commit(entries) {
      // As it is now: what this is about may be another's by the time that there is a coordinator, and a member of a later generation.
      const current = generation < 0 ? generation : round
      const args = { groupId: group, groupGenerationId: current, memberId, topics: byTopic(entries) }
      const link = await beside()
      await link.call('OffsetCommit', args, requestMs()).catch((error: unknown) => {
        if (errorType(error) === 'REBALANCE_IN_PROGRESS') insist()
        throw error
      })
    },
    async committed(parts) {
      const link = await coordinator()
      return committedBy(link, group, parts)
    },
    async stop(leaving, signal) {
      ended.abort()
      poke()
      goodbye ??= sayGoodbye(leaving)
      // Goes on after an abort, as long as there is a connection.
      const left = within(goodbye, LEAVE_MS, NEVER).then(() => connection.endLane(lane))
      // Whoever still looks for the coordinator opens a socket after that.
      void Promise.all([left, loop]).then(() => connection.endLane(lane))
      await atMost(left, signal)
      await within(loop, 1_000, signal)
    },
  }
}
