import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import { declaration, onServer } from './support.ts'

const { connect } = onServer()

describe('a purge', () => {
  it('of a topic of which nothing may be deleted is refused for good', async () => {
    const adapter = await connect()
    const target = { queue: fresh() }
    const settings = { ...declaration.settings, arguments: { 'cleanup.policy': 'compact' } }
    await adapter.declare(target, { ...declaration, settings })
    await adapter.publish([outbound(target, { key: 'k' })], live)
    const error: unknown = await adapter.purge(target).catch((reason: unknown) => reason)
    expect(adapter.classify(error)).toEqual({ code: 'MQ_VALIDATION', retryable: false })
  })
})
