import { describe, expect, it } from '@jest/globals'
import { atATime } from '../src/at-a-time.ts'

describe('so many at a time', () => {
  it('run, in the order of the calls, and the next when one ends in whatever way', async () => {
    const turns = atATime(2)
    const begun: number[] = []
    const ends: ((fails: boolean) => void)[] = []
    const calls = [0, 1, 2, 3, 4].map((n) =>
      turns(() => {
        begun.push(n)
        return new Promise<number>((resolve, reject) => {
          ends[n] = (fails) => (fails ? reject(new Error('no')) : resolve(n))
        })
      }),
    )
    expect(begun).toEqual([0, 1])
    ends[1]?.(true)
    await expect(calls[1]).rejects.toThrow('no')
    expect(begun).toEqual([0, 1, 2])
    ends[0]?.(false)
    ends[2]?.(false)
    expect(await Promise.all([calls[0], calls[2]])).toEqual([0, 2])
    expect(begun).toEqual([0, 1, 2, 3, 4])
    ends[3]?.(false)
    ends[4]?.(false)
    expect(await Promise.all([calls[3], calls[4]])).toEqual([3, 4])
  })

  it('let an urgent one go first', async () => {
    const turns = atATime(1)
    const begun: string[] = []
    const call = (name: string) => () => Promise.resolve(void begun.push(name))
    await Promise.all([turns(call('a')), turns(call('b')), turns(call('c'), true)])
    expect(begun).toEqual(['a', 'c', 'b'])
  })
})
