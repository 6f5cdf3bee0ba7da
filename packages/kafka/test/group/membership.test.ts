import { afterEach, describe, expect, it } from '@jest/globals'
import { until } from '@mq/conformance/fixtures'
import type { Connection } from '../../src/connection.ts'
import { joinGroup, type Membership } from '../../src/group/membership.ts'

type Answer = (name: string, args: { readonly memberId: string }, lane: string) => Promise<unknown>

const open: Membership[] = []
afterEach(() =>
  Promise.all(open.splice(0).map((member) => member.stop(false, AbortSignal.abort(new Error('over'))))),
)

const JOINED = { generationId: 1, leaderId: 'another', memberId: 'me', members: [] }

/** A member of a group whose coordinator answers each request so, and who learns of its topics so. */
function member(answer: Answer, topics: () => Promise<Map<string, { leaders: number[] }>>) {
  const calls: string[] = []
  const failures: unknown[] = []
  const membership = joinGroup({
    connection: {
      closed: false,
      options: { requestTimeoutMs: 60_000 },
      coordinator: (_: string, lane: string) =>
        Promise.resolve({
          call: (name: string, args: { memberId: string }) => {
            calls.push(name)
            return answer(name, args, lane)
          },
        }),
      topics,
      forgetCoordinator: () => undefined,
      endLane: () => undefined,
    } as unknown as Connection,
    group: 'g',
    topics: ['t', 't.delay'],
    sessionTimeoutMs: 60_000,
    ghost: undefined,
    hooks: {
      view: () => ({ owned: {}, pinned: {}, only: true }),
      prepare: () => Promise.resolve(),
      assigned: () => undefined,
      lost: (cause) => void failures.push(cause),
      failed: (error) => void failures.push(error),
    },
  })
  open.push(membership)
  const count = (name: string): number => calls.filter((each) => each === name).length
  return { membership, failures, count }
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

it('a topic that gets more partitions makes another round', async () => {
  let asked = 0
  const { count } = member(willing, () =>
    // The other is missing: it is looked for again soon.
    Promise.resolve(new Map([['t', { leaders: Array.from({ length: ++asked > 1 ? 2 : 1 }, () => 1) }]])),
  )
  await until(() => count('JoinGroup') === 2)
  expect(asked).toBeGreaterThan(1)
})
