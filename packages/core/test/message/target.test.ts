import { describe, expect, it } from '@jest/globals'
import { keyOf, labelOf, sourceOf } from '../../src/message/target.ts'

describe('targets', () => {
  const queue = { queue: 'orders' }
  const topic = { topic: 'orders' }
  const subscription = { topic: 'prices', subscription: 'chart' }

  it('have keys that tell a queue, a topic and a subscription apart', () => {
    expect([queue, topic, subscription].map(keyOf)).toEqual(['orders', 'orders/', 'prices/chart'])
  })

  it('have labels that say what is a topic', () => {
    expect([queue, topic, subscription].map(labelOf)).toEqual(['orders', 'topic orders', 'prices/chart'])
  })

  it('are named in messages by their queue, or by topic and subscription', () => {
    expect(sourceOf(queue)).toEqual({ queueName: 'orders', subscription: null })
    expect(sourceOf(subscription)).toEqual({ queueName: 'prices', subscription: 'chart' })
  })
})
