import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from '@jest/globals'
import type { Destination } from '../../src/adapter/index.ts'
import { connectedBench, settled } from '../engine-bench.ts'
import { message } from '../memory/fixture.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

it('what is known of destinations that are sent to no more does not pile up', async () => {
  const bench = await connectedBench()
  const places: WeakRef<Destination>[] = []
  for (let n = 0; n < 2500; n++) {
    const destination = { queue: `of user ${n}` }
    places.push(new WeakRef(destination))
    await bench.outbox.send(message('a', { destination }), destination.queue, 'q', undefined, undefined)
    bench.adapter.published.length = 0
  }
  await settled()
  collect()
  expect(places.filter((place) => place.deref() !== undefined).length).toBeLessThan(1100)
})
