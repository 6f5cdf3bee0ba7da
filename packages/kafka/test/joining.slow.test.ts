import { it } from '@jest/globals'
import { fresh, live, source } from '@mq/conformance/fixtures'
import type { Target } from '@mq/core/adapter'
import { connect as connectTo } from '../src/connection.ts'
import { hasMembers } from '../src/group/groups.ts'
import { namesOf } from '../src/names.ts'
import { parseOptions } from '../src/options.ts'
import { testOptions } from './harness.ts'
import { declaration, onServer, until } from './support.ts'

// The first round of a group waits for others, as it does unless brokers are told otherwise, only longer.
const extra = { 'group.initial.rebalance.delay.ms': '60000' }
const { connect, url } = onServer({ fresh: true, extra })

it('a consumer that goes before the first round of its group is over leaves at once', async () => {
  const adapter = await connect({ sessionTimeoutMs: 120_000 })
  const target: Target = { queue: fresh() }
  const { group } = namesOf(target, undefined)
  await adapter.declare(target, declaration)
  const events = { lost: () => undefined, blocked: () => undefined }
  const over = await connectTo(parseOptions(testOptions(url())), events, live)
  const receiver = await adapter.open({ ...source(target), mode: 'pull' }, () => undefined)
  const asking = new AbortController()
  const received = receiver.receive(1, asking.signal, 20_000)
  await until(() => hasMembers(over, group))
  asking.abort()
  await received
  await receiver.close(live)
  await until(async () => !(await hasMembers(over, group)), 20_000)
  over.close(undefined)
}, 60_000)
