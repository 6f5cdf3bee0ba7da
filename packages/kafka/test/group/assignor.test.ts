import { describe, expect, it } from '@jest/globals'
import { assign, type MemberView } from '../../src/group/assignor.ts'

const member = (id: string, owned: readonly number[] = [], only = false): MemberView => ({
  id,
  topics: ['t'],
  owned: { t: owned },
  pinned: {},
  only,
})
const partsOf = (members: readonly MemberView[], count: number) => {
  const { byMember, moving } = assign(members, { t: count })
  return { moving, ...Object.fromEntries([...byMember].map(([id, parts]) => [id, parts['t'] ?? []])) }
}

describe('who reads what', () => {
  const table: readonly [string, readonly MemberView[], number, object][] = [
    ['one takes all', [member('a')], 3, { moving: false, a: [0, 1, 2] }],
    ['two share', [member('a'), member('b')], 4, { moving: false, a: [0, 1], b: [2, 3] }],
    ['more members than partitions', [member('a'), member('b')], 1, { moving: false, a: [0], b: [] }],
    [
      'what one has it keeps',
      [member('a', [1, 3]), member('b', [0, 2])],
      4,
      { moving: false, a: [1, 3], b: [0, 2] },
    ],
    [
      'the free ones go to who has least',
      [member('a', [0]), member('b')],
      3,
      { moving: false, a: [0, 1], b: [2] },
    ],
    [
      'what moves is with nobody first',
      [member('a', [0, 1, 2, 3]), member('b')],
      4,
      { moving: true, a: [0, 1], b: [] },
    ],
    [
      'and then with the new one',
      [member('a', [0, 1]), member('b')],
      4,
      { moving: false, a: [0, 1], b: [2, 3] },
    ],
    [
      'of two that claim one the first is believed',
      [member('a', [0]), member('b', [0])],
      2,
      { moving: false, a: [0], b: [1] },
    ],
    [
      'one that only holds keeps that and no more',
      [member('a', [2], true), member('b')],
      3,
      { moving: false, a: [2], b: [0, 1] },
    ],
    [
      'what takes long stays, and the rest is shared',
      [{ ...member('a', [0, 1, 2, 3]), pinned: { t: [2] } }, member('b', [])],
      4,
      { moving: true, a: [0, 1, 2], b: [] },
    ],
    ['alone as well', [member('a', [2], true)], 3, { moving: false, a: [2] }],
    ['a partition that is gone is forgotten', [member('a', [7])], 2, { moving: false, a: [0, 1] }],
  ]
  it.each(table)('%s', (_name, members, count, expected) => {
    expect(partsOf(members, count)).toEqual(expected)
  })

  it('gives nobody what they do not ask for', () => {
    const { byMember } = assign([{ ...member('a'), topics: ['x'] }, member('b')], { t: 2, x: 1 })
    expect(Object.fromEntries(byMember)).toEqual({ a: { x: [0] }, b: { t: [0, 1] } })
  })

  it('spreads the odd partitions of several topics over different members', () => {
    const topics = ['x', 'y']
    const { byMember } = assign(
      ['a', 'b'].map((id) => ({ id, topics, owned: {}, pinned: {}, only: false })),
      { x: 1, y: 1 },
    )
    expect([...byMember.values()].map((parts) => Object.values(parts).flat().length)).toEqual([1, 1])
  })

  describe('where partitions of one number belong together', () => {
    const topics = ['t', 't.later']
    const pair = (id: string, owned: readonly number[], later = owned): MemberView => ({
      ...member(id),
      topics,
      owned: { t: owned, 't.later': later },
      together: true,
    })
    it.each([
      ['new ones go to who has the other', pair('a', [0, 2], []), pair('b', [1], []), [0, 2], [1]],
      ['what moves does so with the other', pair('a', [0, 1, 2]), pair('b', []), [0, 1], []],
      [
        'neither is given while the other is not free',
        pair('a', [0, 1, 2], [0, 1]),
        pair('b', []),
        [0, 1],
        [],
      ],
      ['nor the other way round', pair('a', [0, 1], [0, 1, 2]), pair('b', []), [0, 1], []],
      ['of what is apart one goes first', pair('a', [0, 1], [0]), pair('b', [2], [1, 2]), [0], [2]],
    ])('%s', (_, a, b, ofA, ofB) => {
      const { byMember } = assign([a, b], { t: 3, 't.later': 3 })
      const both = (list: readonly number[]) => (list.length === 0 ? {} : { t: list, 't.later': list })
      expect(Object.fromEntries(byMember)).toEqual({ a: both(ofA), b: both(ofB) })
    })

    it('stays all that one holds who wants nothing else, or for long', () => {
      const a = { ...pair('a', [0], []), only: true }
      const b = { ...pair('b', [1, 2]), pinned: { 't.later': [2] } }
      const { byMember } = assign([a, b, pair('c', [])], { t: 3, 't.later': 2 })
      expect(Object.fromEntries(byMember)).toEqual({
        a: { t: [0], 't.later': [0] },
        b: { t: [1, 2], 't.later': [1] },
        c: {},
      })
    })
  })

  it('never gives one partition to two, and all to somebody within two rounds, through any coming and going', () => {
    let seed = 11
    const random = (most: number) => (seed = (seed * 48_271) % 2_147_483_647) % most
    let owned = new Map<string, number[]>()
    for (let round = 0; round < 200; round++) {
      const ids = new Set(Array.from({ length: 1 + random(5) }, () => `m${random(6)}`))
      owned = new Map([...owned].filter(([id]) => ids.has(id)))
      for (let again = 0; again < 2; again++) {
        const { byMember } = assign(
          [...ids].map((id) => member(id, owned.get(id) ?? [])),
          { t: 7 },
        )
        const given = [...byMember].map(([id, parts]) => [id, parts['t'] ?? []] as const)
        const all = given.flatMap(([, parts]) => parts)
        expect(new Set(all).size).toBe(all.length)
        owned = new Map(given.map(([id, parts]) => [id, [...parts]]))
      }
      const counts = [...ids].map((id) => owned.get(id)?.length ?? 0)
      expect(counts.reduce((a, b) => a + b, 0)).toBe(7)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }
  })
})
