import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { Backlog } from '../../src/consume/backlog.ts'
import { Held } from '../../src/consume/held.ts'
import { KeyLanes } from '../../src/consume/key-lanes.ts'
import { delivery } from '../fake-adapter.ts'
import { VirtualClock } from '../memory/virtual-clock.ts'

const held = (id: string, key?: string) => new Held(delivery(id, { key }), null as never)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const ids = (helds: readonly Held[]) => helds.map((one) => one.delivery.id)

describe('Backlog', () => {
  it('hands out in the order of arrival', () => {
    const backlog = new Backlog(new VirtualClock(), false)
    backlog.add([held('a'), held('b', 'k')])
    expect(backlog.next().delivery.id).toBe('a')
    backlog.add([held('c', 'k')])
    expect([backlog.ready, backlog.size]).toEqual([2, 2])
    expect([backlog.next(), backlog.next()].map((one) => one.delivery.id)).toEqual(['b', 'c'])
    expect(backlog.ready).toBe(0)
  })

  it('keeps nothing of what was handed out, although something always waits', () => {
    const backlog = new Backlog(new VirtualClock(), false)
    const one = [held('a')]
    backlog.add(one)
    collect()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 2_000_000; i++) {
      backlog.add(one)
      backlog.next()
    }
    collect()
    // A place each would be 16 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4e6)
    expect(backlog.ready).toBe(1)
  })

  it('keeps back what waits for its key', () => {
    const backlog = new Backlog(new VirtualClock(), true)
    const [a1, a2, b1] = [held('a1', 'a'), held('a2', 'a'), held('b1', 'b')]
    backlog.add([a1, a2, b1])
    expect([backlog.ready, backlog.size]).toEqual([2, 3])
    backlog.next()
    expect(backlog.leave(a1)).toBe(true)
    expect([backlog.next(), backlog.next()]).toEqual([b1, a2])
    expect(backlog.leave(b1)).toBe(false)
  })

  it('makes a message ready again after its wait in place, counted and with a signal of its own', async () => {
    const clock = new VirtualClock()
    const backlog = new Backlog(clock, true)
    const one = held('a', 'k')
    one.abort('earlier')
    let again = 0
    backlog.waitInPlace(one, 100, 1, () => again++)
    expect([backlog.ready, backlog.size]).toEqual([0, 1])
    await clock.advance(100)
    expect([again, backlog.ready, one.deliveryCount, one.run.signal.aborted]).toEqual([1, 1, 1, false])
  })

  it('forgets the wait of a message that was lost meanwhile', async () => {
    const clock = new VirtualClock()
    const backlog = new Backlog(clock, false)
    const one = held('a')
    backlog.waitInPlace(one, 100, 1, () => {
      throw new Error('called')
    })
    backlog.leave(one)
    expect([clock.timers, backlog.size]).toEqual([0, 0])
  })

  it('gives everything back when drained, and forgets it', () => {
    const clock = new VirtualClock()
    const backlog = new Backlog(clock, true)
    backlog.add([held('a1', 'a'), held('a2', 'a'), held('b')])
    backlog.waitInPlace(held('c'), 100, 1, () => undefined)
    backlog.next()
    expect(ids(backlog.drain()).sort()).toEqual(['a2', 'b', 'c'])
    expect([backlog.size, clock.timers]).toEqual([0, 0])
  })
})

describe('KeyLanes', () => {
  it('let one message of a key go at a time, and pass over those that were lost', () => {
    const lanes = new KeyLanes()
    const [a1, a2, a3] = [held('a1', 'a'), held('a2', 'a'), held('a3', 'a')]
    expect([lanes.enter(a1), lanes.enter(a2), lanes.enter(a3), lanes.enter(held('x'))]).toEqual([
      true,
      false,
      false,
      true,
    ])
    a2.state = 'lost'
    expect(lanes.leave(a1)).toBe(a3)
    expect(lanes.leave(a3)).toBeNull()
    expect(lanes.enter(held('a4', 'a'))).toBe(true)
  })

  it('forget one that leaves while it waits', () => {
    const lanes = new KeyLanes()
    const [a1, a2] = [held('a1', 'a'), held('a2', 'a')]
    lanes.enter(a1)
    lanes.enter(a2)
    expect(lanes.leave(a2)).toBeNull()
    expect(lanes.waiting).toBe(0)
    expect(lanes.leave(a1)).toBeNull()
  })
})
