import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, it, jest } from '@jest/globals'
import { performance } from 'node:perf_hooks'
import { declare, fresh, live, outbound, source, until } from '@mq/conformance/fixtures'
import { adapter, channel } from './bench.ts'
import { take } from './take.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

afterEach(() => {
  jest.useRealTimers()
  jest.restoreAllMocks()
})

it('what a browse has held for long is given back and taken again, and shown once', async () => {
  const target = await declare(adapter, fresh())
  const sent = Array.from({ length: 250 }, (_, n) => outbound(target, n === 7 ? { id: 'twice' } : {}))
  sent[8] = outbound(target, { id: 'twice', body: Buffer.from('another') })
  await adapter.publish(sent, live)
  const now = performance.now.bind(performance)
  let later = 0
  jest.spyOn(performance, 'now').mockImplementation(() => now() + later)
  jest.spyOn(globalThis, 'setInterval')
  const look = jest.mocked(setInterval).mock
  const browser = await adapter.open(source(target, { mode: 'browse' }), () => undefined)
  const first = await browser.receive(120, live)
  // Ten minutes later it is looked at again.
  later = 600_000
  for (const [call, ms] of look.calls) if (ms === 60_000) call()
  const removed = browser.ack(first.slice(0, 110))
  const second = await browser.receive(200, live)
  expect([...first, ...second].map(({ id }) => id)).toEqual(sent.map(({ id }) => id))
  expect(new Set(await removed)).toEqual(new Set(['settled']))
  expect(await browser.receive(1, live)).toEqual([])
  await browser.close(live)
  await until(async () => (await channel.checkQueue(target.queue)).messageCount === 140)
  const receiver = await adapter.open(source(target, { prefetch: 200 }), () => undefined)
  const times = new Map((await take(receiver, 140)).map(({ id, redeliveries }) => [id, redeliveries]))
  // Those that were held for long were given back once more.
  const expected = [...first.slice(110).map(({ id }) => [id, 2]), ...second.map(({ id }) => [id, 1])]
  expect([...times].sort()).toEqual(expected.sort())
  await receiver.close(live)
})

it('what was removed during a browse is not kept until its end', async () => {
  const target = await declare(adapter, fresh())
  await adapter.publish(
    Array.from({ length: 300 }, () => outbound(target)),
    live,
  )
  const browser = await adapter.open(source(target, { mode: 'browse' }), () => undefined)
  const removed: WeakRef<object>[] = []
  const remove = async (): Promise<void> => {
    const page = await browser.receive(50, live)
    for (const delivery of page) removed.push(new WeakRef(delivery))
    expect(new Set(await browser.ack(page))).toEqual(new Set(['settled']))
  }
  for (let n = 0; n < 6; n++) await remove()
  await until(() => {
    collect()
    return removed.filter((each) => each.deref() !== undefined).length <= 50
  })
  await browser.close(live)
})
