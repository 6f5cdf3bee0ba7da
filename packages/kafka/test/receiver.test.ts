import { describe, expect, it } from '@jest/globals'
import { failure, fresh, live, outbound } from '@mq/conformance/fixtures'
import type { Delivery } from '@mq/core/adapter'
import { hold } from './requests.ts'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect } = onServer()

describe('what is retried or dead', () => {
  it('is settled although the coordinator says nothing', async () => {
    const clientId = fresh()
    const adapter = await connect({ clientId })
    const [target, dead] = [{ queue: fresh() }, { queue: `${fresh()}.dlq` }]
    for (const each of [target, dead]) await adapter.declare(each, declaration)
    await adapter.publish([outbound(target), outbound(target)], live)
    const receiver = await consuming(adapter, target)
    const [first, second] = await take(receiver, 2)
    const commits = hold(clientId, 'OffsetCommit')
    try {
      expect(await receiver.retry([first as Delivery], 1)).toEqual(['settled'])
      expect(await receiver.deadLetter([second as Delivery], [failure()], dead)).toEqual(['settled'])
    } finally {
      commits.letGo()
    }
  }, 60_000)
})
