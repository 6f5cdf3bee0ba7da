import { describe, expect, it } from '@jest/globals'
import { failure, fresh, live, outbound, source } from '@mq/conformance/fixtures'
import { consuming, declaration, onServer, take, until } from './support.ts'

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

describe('a dead letter that its queue keeps no longer', () => {
  it('is neither shown nor counted', async () => {
    const adapter = await connect()
    const queue = fresh()
    const dead = { queue: `${queue}.dlq` }
    await adapter.declare({ queue }, declaration)
    await adapter.declare(dead, { ...declaration, settings: { ...declaration.settings, messageTtl: 1 } })
    await adapter.publish([outbound({ queue })], live)
    const receiver = await consuming(adapter, { queue })
    const failed = await take(receiver, 1)
    expect(await receiver.deadLetter(failed, [failure({ queue })], dead)).toEqual(['settled'])
    const since = Date.now()
    await until(() => Date.now() > since + 1)
    const browser = await adapter.open({ ...source(dead), mode: 'browse' }, () => undefined)
    expect(await browser.receive(1, live)).toEqual([])
    expect(await adapter.size(dead)).toBe(0)
    expect(await adapter.purge(dead)).toBe(0)
  })
})
