import { describe, expect, it } from '@jest/globals'
import { fresh, live, outbound, source } from '@mq/conformance/fixtures'
import { connect as connectTo } from '../../src/connection.ts'
import { parseOptions } from '../../src/options.ts'
import { createTopics, deleteTopic, keepingConfig } from '../../src/topics.ts'
import { testOptions } from '../harness.ts'
import { counting, hold } from '../requests.ts'
import { declaration, onServer, until } from '../support.ts'

const { connect, url } = onServer()

const HOUR_MS = 3_600_000
/** Both ends of the logs, for where to begin and for how far to look. */
const LOOKS = 4

describe('a look into a topic that is made anew meanwhile', () => {
  it('ends with the new one, however much the old one held', async () => {
    const clientId = fresh()
    const [adapter, sender] = [await connect({ clientId }), await connect()]
    const target = { queue: fresh() }
    await sender.declare(target, declaration)
    // The topic of what waits is there, too: nobody looks for a missing one.
    await sender.publish([outbound(target), outbound(target), outbound(target, { delayMs: HOUR_MS })], live)
    const receiver = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
    const fetches = hold(clientId, 'Fetch')
    const ends = counting(clientId, 'ListOffsets')
    const patience = AbortSignal.timeout(40_000)
    const looked = receiver.receive(1, patience, 0)
    await fetches.reached
    await until(() => ends.count() >= LOOKS)
    ends.end()
    // Answered after what was asked before.
    await adapter.ping(live)
    const events = { lost: () => undefined, blocked: () => undefined }
    const over = await connectTo(parseOptions(testOptions(url())), events, live)
    await deleteTopic(over, target.queue)
    await createTopics(over, [{ name: target.queue, partitions: 1, replicas: 1, config: keepingConfig() }])
    over.close(undefined)
    fetches.letGo()
    expect(await looked).toEqual([])
    expect(patience.aborted).toBe(false)
  }, 60_000)
})
