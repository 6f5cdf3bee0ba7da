import { describe, expect, it } from '@jest/globals'
import { brokerDeadLetter } from '../src/death.ts'

const died = (queue: string) =>
  brokerDeadLetter({ 'x-death': [{ queue, reason: 'expired', time: { value: 1_700_000_000 } }] }, undefined)

describe('what the server itself dead-letters', () => {
  it.each([
    ['orders', 'orders', null],
    ['orders:billing', 'orders', 'billing'],
    // Named like a partition, which has two colons.
    ['orders:p1', 'orders', 'p1'],
    ['orders::p1', 'orders', null],
  ])('of %s says where it was', (physical, queue, subscription) => {
    expect(died(physical)).toMatchObject({ reason: 'expired', queue, subscription })
  })
})
