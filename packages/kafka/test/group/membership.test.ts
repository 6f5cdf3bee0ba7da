import { afterEach, describe, expect, it } from '@jest/globals'
import { performance } from 'node:perf_hooks'
import { until } from '@mq/conformance/fixtures'
import type { Link } from '../../src/client.ts'
import type { Connection } from '../../src/connection.ts'
import { joinGroup } from '../../src/group/membership.ts'
import type { Membership } from '../../src/group/membership-contract.ts'

type Answer = (name: string, args: { readonly memberId: string }, lane: string) => Promise<unknown>

const open: Membership[] = []
afterEach(() =>
  Promise.all(open.splice(0).map((member) => member.stop(false, AbortSignal.abort(new Error('over'))))),
)

const JOINED = { generationId: 1, leaderId: 'another', memberId: 'me', members: [] }

/** A member of a group whose coordinator answers each request so, and who learns of its topics so. */
function member(
  answer: Answer,
  topics: () => Promise<Map<string, { leaders: number[] }>> = () => new Promise(() => undefined),
  ghosts = new Map<string, string>(),
  sessionTimeoutMs = 60_000,
  over: Partial<Connection> = {},
) {
  const warnings: unknown[] = []
  const calls: string[] = []
  const limits: [string, number | undefined][] = []
  const failures: unknown[] = []
  const membership = joinGroup({
    connection: {
      closed: false,
      options: {
        requestTimeoutMs: 60_000,
        logger: { warn: (_: object, text: string) => void warnings.push(text) },
      },
      coordinator: (_: string, lane: string) =>
        Promise.resolve({
          call: (name: string, args: { memberId: string }, timeoutMs?: number) => {
            calls.push(name)
            limits.push([name, timeoutMs])
            return answer(name, args, lane)
          },
        }),
      topics,
      forgetCoordinator: () => undefined,
      endLane: () => undefined,
      ...over,
    } as unknown as Connection,
    group: 'g',
    topics: ['t', 't.delay'],
    sessionTimeoutMs,
    ghosts,
    hooks: {
      view: () => ({ owned: {}, pinned: {}, only: true }),
      prepare: () => Promise.resolve(),
      assigned: () => undefined,
      lost: (cause) => void failures.push(cause),
      missing: () => void failures.push('missing'),
      failed: (error) => void failures.push(error),
    },
  })
  open.push(membership)
  const count = (name: string): number => calls.filter((each) => each === name).length
  return { membership, failures, warnings, count, ghosts, limits }
}

const willing: Answer = (name) => {
  if (name === 'JoinGroup') return Promise.resolve(JOINED)
  return Promise.resolve({ memberAssignment: Buffer.alloc(0) })
}

describe('signs of life', () => {
  it('wait for no answer about topics', async () => {
    let asked = 0
    const { count } = member(willing, () => {
      asked++
      return new Promise(() => undefined)
    })
    await until(() => count('Heartbeat') >= 4)
    expect(asked).toBe(1)
    expect(count('JoinGroup')).toBe(1)
  })

  it('go on when nothing can be learnt about topics', async () => {
    let asked = 0
    const { count, failures } = member(willing, () => {
      asked++
      return Promise.reject(new Error('no'))
    })
    await until(() => asked >= 2 && count('Heartbeat') >= 4)
    expect(count('JoinGroup')).toBe(1)
    expect(failures).toEqual([])
  })
})

it('a topic that is gone is found out whatever this member has of it', async () => {
  const { failures } = member(willing, () => Promise.resolve(new Map([['t.delay', { leaders: [1] }]])))
  await until(() => failures.length > 0)
  expect(failures[0]).toBe('missing')
})

describe('a member whose coordinator is not heard of for a session', () => {
  const unreachable = Object.assign(new Error('no way'), { code: 'ECONNREFUSED' })
  const cutOff = (topics: () => Promise<Map<string, { leaders: number[] }>>) =>
    member(
      (name, args, lane) => (name === 'Heartbeat' ? Promise.reject(unreachable) : willing(name, args, lane)),
      topics,
      undefined,
      1_000,
    )

  it('has lost what it read where other brokers answer, and says so once', async () => {
    let joins = 0
    const { failures, warnings, count } = member(
      (name, args, lane) =>
        name === 'Heartbeat' || (name === 'JoinGroup' && ++joins > 1)
          ? Promise.reject(unreachable)
          : willing(name, args, lane),
      () => Promise.resolve(new Map([['t', { leaders: [1] }]])),
      undefined,
      1_000,
    )
    await until(() => failures.length > 0)
    const before = count('JoinGroup')
    await until(() => count('JoinGroup') > before + 3)
    expect(failures).toEqual([unreachable])
    expect(warnings.length).toBe(1)
  })

  it('keeps it where no broker answers: nobody else can have it', async () => {
    const { failures, warnings, count } = cutOff(() => Promise.reject(unreachable))
    await until(() => warnings.length > 0)
    const before = count('Heartbeat')
    await until(() => count('Heartbeat') > before + 3)
    expect(failures).toEqual([])
  })

  it.each(['GROUP_LOAD_IN_PROGRESS', 'GROUP_COORDINATOR_NOT_AVAILABLE'])(
    'keeps it while there is none yet that could give it to others: %s',
    async (type) => {
      const began = performance.now()
      const { failures, count } = member(
        (name, args, lane) =>
          name === 'Heartbeat'
            ? Promise.reject(Object.assign(new Error('not yet'), { type }))
            : willing(name, args, lane),
        () => Promise.resolve(new Map([['t', { leaders: [1] }]])),
        undefined,
        1_000,
      )
      await until(() => performance.now() - began > 2_000)
      const before = count('Heartbeat')
      await until(() => count('Heartbeat') > before + 3)
      expect(failures).toEqual([])
      expect(count('JoinGroup')).toBe(1)
    },
  )
})

describe('a coordinator that says nothing is looked for anew', () => {
  it('well before the session that another began is over', async () => {
    const { count, limits } = member(willing, undefined, undefined, 60_000)
    await until(() => count('Heartbeat') > 0)
    expect(limits.find(([name]) => name === 'Heartbeat')?.[1]).toBeLessThanOrEqual(20_000)
  })

  it('where its socket does not open', async () => {
    let asked = 0
    let forgot = 0
    member(willing, undefined, undefined, 1_000, {
      coordinator: () => {
        asked++
        return new Promise(() => undefined)
      },
      forgetCoordinator: () => void forgot++,
    })
    await until(() => asked > 1)
    expect(forgot).toBeGreaterThan(0)
  })

  it('while a join waits for it', async () => {
    const silent = Object.assign(new Error('no answer'), { name: 'KafkaJSRequestTimeoutError' })
    let joins = 0
    let giveUp = (): void => undefined
    const { membership, count, failures } = member(
      (name, args, lane) => {
        if (name === 'JoinGroup' && ++joins === 2)
          return new Promise((_, reject) => {
            giveUp = () => reject(Object.assign(new Error('closed'), { name: 'KafkaConnectionClosed' }))
          })
        if (name === 'Heartbeat' && joins === 2) return Promise.reject(silent)
        return willing(name, args, lane)
      },
      undefined,
      undefined,
      undefined,
      { endLane: () => giveUp() },
    )
    await until(() => count('Heartbeat') > 0)
    membership.rejoin()
    await until(() => joins === 3)
    expect(failures).toEqual([])
  })
})

describe('a session that brokers refuse', () => {
  const between =
    (least: number, most: number, asked: number[]): Answer =>
    (name, args, lane) => {
      if (name !== 'JoinGroup') return willing(name, args, lane)
      const { sessionTimeout } = args as unknown as { sessionTimeout: number }
      asked.push(sessionTimeout)
      return sessionTimeout >= least && sessionTimeout <= most
        ? Promise.resolve(JOINED)
        : Promise.reject(Object.assign(new Error('no'), { type: 'INVALID_SESSION_TIMEOUT' }))
    }

  it.each([
    [15_000, 45_000, 1_800_000, [15_000, 7_500, 6_000, 30_000, 60_000]],
    [20_000, 6_000, 10_000, [20_000, 10_000]],
    [1_000, 6_000, 1_800_000, [1_000, 6_000]],
  ])('%i is replaced by one between %i and %i', async (session, least, most, expected) => {
    const asked: number[] = []
    const { membership, count } = member(between(least, most, asked), undefined, undefined, session)
    await until(() => count('Heartbeat') > 0)
    expect(asked).toEqual(expected)
    expect(membership.sessionMs).toBe(expected.at(-1))
  })

  it('whatever it is fails the consumer, with a word on how to go on', async () => {
    const { failures, count } = member(between(1, 0, []), undefined, undefined, 15_000)
    await until(() => failures.length > 0)
    expect(failures).toMatchObject([
      { code: 'MQ_CONFIGURATION', message: expect.stringMatching(/group\.min.*group\.max/) as unknown },
    ])
    expect(count('JoinGroup')).toBeLessThan(15)
  })
})

it('a commit that waits for its coordinator is of the generation in which it was made', async () => {
  const generations: number[] = []
  let round = 0
  let beats = 0
  let waits = false
  let find = (): void => undefined
  const answer = (name: string, args: { groupGenerationId: number }): Promise<unknown> => {
    if (name === 'JoinGroup') return Promise.resolve({ ...JOINED, generationId: ++round })
    if (name === 'OffsetCommit') generations.push(args.groupGenerationId)
    if (name === 'Heartbeat' && ++beats > 1 && round === 1)
      return Promise.reject(Object.assign(new Error('no'), { type: 'ILLEGAL_GENERATION' }))
    return Promise.resolve({ memberAssignment: Buffer.alloc(0) })
  }
  const link = { call: answer } as unknown as Link
  const { membership } = member(willing, undefined, undefined, undefined, {
    coordinator: () =>
      waits ? new Promise((resolve) => (find = () => resolve(link))) : Promise.resolve(link),
  })
  await until(() => beats === 1)
  waits = true
  const committed = membership.commit([{ topic: 't', partition: 0, offset: 1, metadata: '' }])
  waits = false
  await until(() => round === 2)
  find()
  await committed
  expect(generations).toEqual([1])
})

it('a topic that gets more partitions makes another round', async () => {
  let asked = 0
  const { count } = member(willing, () =>
    // The other is missing: it is looked for again soon.
    Promise.resolve(new Map([['t', { leaders: Array.from({ length: ++asked > 1 ? 2 : 1 }, () => 1) }]])),
  )
  await until(() => count('JoinGroup') === 2)
  expect(asked).toBeGreaterThan(1)
})

/** Joins wait for a round that does not end; what else comes by their socket is not read before. */
function stalled(first: Promise<unknown>): { answer: Answer; left: string[] } {
  const waits = new Set<string>()
  const left: string[] = []
  const answer: Answer = (name, { memberId }, lane) => {
    if (waits.has(lane)) return new Promise(() => undefined)
    if (name === 'JoinGroup' && memberId === '') return first
    if (name === 'JoinGroup') {
      waits.add(lane)
      return new Promise(() => undefined)
    }
    left.push(memberId)
    return Promise.resolve({})
  }
  return { answer, left }
}
const named = Object.assign(new Error('an id first'), { name: 'KafkaJSMemberIdRequired', memberId: 'me' })
const limit = (): AbortSignal => AbortSignal.timeout(30_000)

describe('a member that leaves', () => {
  it('while it joins does so at once', async () => {
    const { answer, left } = stalled(Promise.reject(named))
    const { membership, count, ghosts } = member(answer)
    await until(() => count('JoinGroup') === 2)
    await membership.stop(true, limit())
    expect(left).toEqual(['me'])
    expect(ghosts.size).toBe(0)
  })

  it('before the group named it waits for its name', async () => {
    let name = (): void => undefined
    const { answer, left } = stalled(new Promise((_, reject) => (name = () => reject(named))))
    const { membership, count, ghosts } = member(answer)
    await until(() => count('JoinGroup') === 1)
    const stopped = membership.stop(true, limit())
    name()
    await stopped
    expect(left).toEqual(['me'])
    expect(ghosts.size).toBe(0)
    expect(count('JoinGroup')).toBe(1)
  })

  it('without a word of the coordinator is remembered, and got rid of by the next one', async () => {
    let deaf = true
    const left: string[] = []
    const answer: Answer = (name, args, lane) => {
      if (name !== 'LeaveGroup') return willing(name, args, lane)
      left.push(args.memberId)
      if (deaf) return Promise.reject(new Error('no'))
      return Promise.reject(Object.assign(new Error('gone already'), { type: 'UNKNOWN_MEMBER_ID' }))
    }
    const { membership, count, ghosts } = member(answer)
    await until(() => count('Heartbeat') > 0)
    await membership.stop(true, limit())
    expect(ghosts.get('g')).toBe('me')
    deaf = false
    const next = member(answer, undefined, ghosts)
    await until(() => next.count('JoinGroup') > 0)
    expect(left).toEqual(['me', 'me'])
    expect(ghosts.size).toBe(0)
  })

  it('before its coordinator is found leaves no socket behind', async () => {
    const seen: string[] = []
    let find = (): void => undefined
    const { membership } = member(willing, undefined, undefined, undefined, {
      coordinator: () =>
        new Promise((resolve) => {
          find = () => {
            seen.push('opened')
            resolve({ call: () => Promise.reject(new Error('no')) } as unknown as Link)
          }
        }),
      endLane: () => void seen.push('ended'),
    })
    await membership.stop(true, AbortSignal.abort(new Error('no time')))
    await until(() => seen.length === 1)
    find()
    await until(() => seen.length === 3)
    expect(seen).toEqual(['ended', 'opened', 'ended'])
  })

  it('and has no time for it is remembered', async () => {
    const { membership, count, ghosts } = member((name, args, lane) =>
      name === 'LeaveGroup' ? new Promise(() => undefined) : willing(name, args, lane),
    )
    await until(() => count('Heartbeat') > 0)
    await membership.stop(true, AbortSignal.abort(new Error('no time')))
    expect(ghosts.get('g')).toBe('me')
  })
})
