import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import type { Target } from '@mq/core/adapter'
import type { Connection } from '../src/connection.ts'
import { createRegistry, REGISTRY_TOPIC } from '../src/registry.ts'
import { declaration, deleteInternal, onServer, until } from './support.ts'

// Of its own: other tests keep their settings in that topic.
const { connect, url } = onServer({ fresh: true })

describe('the topic of settings that is deleted', () => {
  it('takes only what it held with it, and is made anew by who declares', async () => {
    const [adapter, other] = [await connect(), await connect()]
    const [topic, queue] = [fresh(), fresh()]
    const subscription: Target = { topic, subscription: 's' }
    await adapter.declare({ topic }, declaration)
    for (let n = 0; n < 5; n++) await adapter.declare({ queue: fresh() }, declaration)
    await adapter.declare(subscription, { ...declaration, pattern: '#' })
    expect(await other.size(subscription)).toBe(0)
    await deleteInternal(url(), REGISTRY_TOPIC)
    await expect(adapter.size(subscription)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
    await adapter.declare({ queue }, declaration)
    expect(await adapter.size({ queue })).toBe(0)
    await adapter.declare(subscription, { ...declaration, pattern: '#' })
    await adapter.publish([outbound({ topic })], live)
    // That one has read more of the topic before than there is now.
    expect(await other.size(subscription)).toBe(1)
    await other.remove(subscription)
    await expect(adapter.size(subscription)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  }, 60_000)
})

it('is read once more, and no more, for all who ask while it is read', async () => {
  const answers: (() => void)[] = []
  const connection = {
    topic: () => new Promise<null>((resolve) => answers.push(() => resolve(null))),
  } as unknown as Connection
  const nobody = () => Promise.reject(new Error('nothing is written'))
  const registry = createRegistry({ connection: () => connection, ensureTopic: nobody, produceTo: nobody })
  const first = registry.get('queue:a')
  await until(() => answers.length === 1)
  // What was written before they asked may be behind where that one looked.
  const later = Promise.all(Array.from({ length: 10 }, () => registry.get('queue:a')))
  answers[0]?.()
  await first
  await until(() => answers.length === 2)
  answers[1]?.()
  await later
  expect(answers).toHaveLength(2)
})
