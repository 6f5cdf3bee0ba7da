import { afterEach, expect, it } from '@jest/globals'
import { live, outbound, until } from '@mq/conformance/fixtures'
import { kafkaAdapter } from '@mq/kafka'
import { fakeBroker } from './fake-broker.ts'
import { declaration } from './support.ts'

const ends: (() => Promise<void>)[] = []
afterEach(() => Promise.all(ends.splice(0).map((end) => end())))

it('what is asked while a connection is lost is told that it was, and not that there never was one', async () => {
  const broker = await fakeBroker()
  const adapter = kafkaAdapter({ brokers: broker.address, lostAfterMs: 1 })
  ends.push(
    () => broker.close(),
    () => adapter.disconnect(live),
  )
  let lost = false
  await adapter.connect({ lost: () => (lost = true), blocked: () => undefined }, live)
  await broker.close()
  await until(() => lost)
  const target = { queue: 'q' }
  await expect(adapter.declare(target, declaration)).rejects.toMatchObject({
    code: 'MQ_CONNECTION',
    retryable: true,
  })
  const [outcome] = await adapter.publish([outbound(target)], live)
  expect(outcome).toMatchObject({ ok: false, certainty: 'not-stored', error: { code: 'MQ_CONNECTION' } })
  await adapter.disconnect(live)
  await expect(adapter.declare(target, declaration)).rejects.toMatchObject({ code: 'MQ_NOT_CONNECTED' })
})
