import { describe, expect, it } from '@jest/globals'
import { conformanceIds } from '@mq/conformance'
import type { BrokerAdapter, Delivery } from '@mq/core/adapter'
import { brokenAdapters } from './broken/all.ts'
import { onDelivery, onReceiver } from './broken/broken.ts'
import { failedIds, runBroken } from './broken/run.ts'

/** That these and no others of the whole suite fail is for the slow run. */
describe('the suite fails an adapter that', () => {
  for (const broken of brokenAdapters) {
    it(
      broken.name,
      async () => {
        const { fails } = broken
        expect(failedIds(await runBroken(broken, fails))).toEqual([...fails].sort())
      },
      120_000,
    )
  }

  it('and knows each of them by a name of its own, with ids that it must fail', () => {
    expect(new Set(brokenAdapters.map(({ name }) => name)).size).toBe(brokenAdapters.length)
    expect(brokenAdapters.filter(({ fails }) => fails.length === 0)).toEqual([])
  })
})

describe('the suite passes an adapter that', () => {
  it('has no fault', async () => {
    const results = await runBroken({ name: 'is whole', fault: (inner) => inner })
    expect(Object.keys(results.items)).toEqual(conformanceIds)
    expect(failedIds(results)).toEqual([])
    const skipped = Object.entries(results.items).filter(([, { outcome }]) => outcome === 'skipped')
    expect(skipped.map(([id]) => id)).toEqual(['shutdown.signal'])
  }, 120_000)

  it('hands out one message at a time', async () => {
    const fault = (inner: BrokerAdapter) =>
      onReceiver(inner, (receiver) => ({
        receive: (_, signal, waitMs) => receiver.receive(1, signal, waitMs),
      }))
    expect(failedIds(await runBroken({ name: 'hands out one at a time', fault }))).toEqual([])
  }, 120_000)

  it('hands out deliveries that answer with getters', async () => {
    const fault = (inner: BrokerAdapter) => onDelivery(inner, getters)
    expect(failedIds(await runBroken({ name: 'has getters', fault }))).toEqual([])
  }, 120_000)
})

/** None of its fields is its own, as those of a class with getters are not. */
function getters(delivery: Delivery): Delivery {
  const fields = Object.keys(delivery) as (keyof Delivery)[]
  const properties = Object.fromEntries(fields.map((field) => [field, { get: () => delivery[field] }]))
  return Object.create(Object.defineProperties({}, properties)) as Delivery
}
