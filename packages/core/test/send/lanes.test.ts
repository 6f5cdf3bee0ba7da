import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from '@jest/globals'
import type { Destination, PublishOutcome } from '../../src/adapter/index.ts'
import { connectedBench, deferred, sendBy, settled } from '../engine-bench.ts'
import { message } from '../memory/fixture.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

it('what is known of destinations that are sent to no more does not pile up', async () => {
  const bench = await connectedBench()
  const places: WeakRef<Destination>[] = []
  for (let n = 0; n < 2500; n++) {
    const destination = { queue: `of user ${n}` }
    places.push(new WeakRef(destination))
    await sendBy(bench, message('a', { destination }), destination.queue)
    bench.adapter.published.length = 0
  }
  await settled()
  collect()
  expect(places.filter((place) => place.deref() !== undefined).length).toBeLessThan(1100)
})

it('what has a key goes to a topic one call at a time, and nothing else to it waits for that', async () => {
  const bench = await connectedBench()
  const { adapter } = bench
  const settings = await bench.engine.topology.ensure({ topic: 't' })
  const calls = () => adapter.published.map((batch) => batch.map(({ id }) => id))
  const busy: PublishOutcome = { ok: false, error: new Error('busy'), certainty: 'not-stored' }
  const gate = deferred()
  adapter.onPublish = async (batch) => {
    if (batch[0]?.id === 'a') await gate.promise
    const refused =
      batch[0]?.id === 'a' &&
      calls()
        .flat()
        .filter((id) => id === 'a').length === 1
    return batch.map((): PublishOutcome => (refused ? busy : { ok: true }))
  }
  const send = (id: string, key: string | undefined) =>
    sendBy(bench, message(id, { destination: { topic: 't' }, key }), 't', { label: 't', settings })
  const sent = [send('a', 'k')]
  await settled()
  sent.push(send('b', 'k'))
  await send('x', undefined)
  expect(calls()).toEqual([['a'], ['x']])
  gate.resolve()
  await settled()
  await bench.clock.advance(1000)
  await Promise.all(sent)
  expect(calls()).toEqual([['a'], ['x'], ['a'], ['b']])
})
