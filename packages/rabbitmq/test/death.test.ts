import { describe, expect, it } from '@jest/globals'
import { brokerDeadLetter } from '../src/death.ts'
import { queueOf } from '../src/names.ts'

const died = (queue: string) =>
  brokerDeadLetter({ 'x-death': [{ queue, reason: 'expired', time: { value: 1_700_000_000 } }] }, undefined)

describe('what the server itself dead-letters', () => {
  it.each([
    ['orders', 'orders', null],
    ['orders:billing', 'orders', 'billing'],
    // Named like a partition, which has two colons.
    ['orders:p1', 'orders', 'p1'],
    ['orders::p1', 'orders', null],
    // Two names that were too long together.
    [queueOf({ topic: 't'.repeat(150), subscription: 's'.repeat(150) }), '', null],
  ])('of %s says where it was', (physical, queue, subscription) => {
    expect(died(physical)).toMatchObject({ reason: 'expired', queue, subscription })
  })
})
