import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect } = onServer()

describe('a group that begins at the end', () => {
  it('has all that is sent once its first consumer is open, though that has not joined yet', async () => {
    const [sender, adapter] = [await connect(), await connect({ startFrom: 'latest' })]
    const target = { queue: fresh() }
    await sender.declare(target, declaration)
    const [before, after] = [outbound(target), outbound(target)]
    await sender.publish([before], live)
    const receiver = await consuming(adapter, target)
    await sender.publish([after], live)
    expect((await take(receiver, 1)).map(({ id }) => id)).toEqual([after.id])
    // Who comes later begins where the group is.
    await receiver.close(live)
    const last = outbound(target)
    await sender.publish([last], live)
    const other = await connect({ startFrom: 'latest' })
    const ids = (await take(await consuming(other, target), 2)).map(({ id }) => id)
    expect(new Set(ids)).toEqual(new Set([after.id, last.id]))
  }, 60_000)
})
