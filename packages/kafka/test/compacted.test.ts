import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import { classify } from '../src/errors.ts'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect } = onServer()

describe('a queue whose topic is compacted', () => {
  it('is warned of, and says what it refuses', async () => {
    const queue = fresh()
    const warnings: unknown[] = []
    const ignore = (): void => undefined
    const warn = (facts: unknown, text: string): unknown => warnings.push([facts, text])
    const adapter = await connect({ logger: { debug: ignore, info: ignore, warn, error: ignore } })
    const settings = { ...declaration.settings, arguments: { 'cleanup.policy': 'compact' } }
    await adapter.declare({ queue }, { ...declaration, settings })
    const [keyed, keyless] = await adapter.publish(
      [outbound({ queue }, { key: 'k' }), outbound({ queue })],
      live,
    )
    if (keyed?.ok === false) throw keyed.error
    if (keyless?.ok !== false) throw new Error('a message without a key was stored')
    expect(keyless.certainty).toBe('not-stored')
    expect(classify(keyless.error)).toEqual({ code: 'MQ_VALIDATION', retryable: false })
    expect((keyless.error as Error).message).toMatch(/without a key.*cleanup\.policy/)
    const receiver = await consuming(adapter, { queue })
    await receiver.ack(await take(receiver, 1))
    await receiver.close(live)
    expect(warnings).toEqual([[{ topic: queue }, expect.stringMatching(/compacted/)]])
  })
})
