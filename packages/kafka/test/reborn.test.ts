import { expect, it } from '@jest/globals'
import { fresh, live, outbound } from '@mq/conformance/fixtures'
import { connect as connectTo } from '../src/connection.ts'
import { commitFor, committedOf } from '../src/group/groups.ts'
import { namesOf } from '../src/names.ts'
import { parseOptions } from '../src/options.ts'
import { testOptions } from './harness.ts'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect, url } = onServer()

it('what was committed too late for a queue that is gone hides nothing of the next of its name', async () => {
  const adapter = await connect()
  const over = await connectTo(
    parseOptions(testOptions(url())),
    { lost: () => undefined, blocked: () => undefined },
    live,
  )
  const target = { queue: fresh() }
  const { main, group } = namesOf(target, undefined)
  const messages = (count: number) => Array.from({ length: count }, () => outbound(target))
  await adapter.declare(target, declaration)
  await adapter.publish(messages(3), live)
  const receiver = await consuming(adapter, target)
  await receiver.ack(await take(receiver, 3))
  await receiver.close(live)
  const commit = (await committedOf(over, group, { [main]: [0] })).get(`${main}/0`)
  expect(commit?.offset).toBe(3)
  await adapter.remove(target)
  await adapter.declare(target, declaration)
  await adapter.publish(messages(5), live)
  // As by a consumer whose commit was under way meanwhile, or where no coordinator was there to forget it.
  const late = { topic: main, partition: 0, offset: 3, metadata: commit?.metadata ?? '' }
  await commitFor(over, group, [late])
  over.close(undefined)
  expect(await adapter.size(target)).toBe(5)
  await take(await consuming(adapter, target), 5)
})
