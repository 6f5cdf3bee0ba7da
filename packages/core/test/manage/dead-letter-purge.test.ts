import { expect, it, jest } from '@jest/globals'
import { lastOf, queueBench } from '../engine-bench.ts'

it('a purge waits out a lost connection', async () => {
  const { queue, adapter, clock } = queueBench()
  await queue.connect()
  const letters = queue.deadLetters('q')
  // Nothing is to be declared any more: the purge itself has to wait.
  await letters.purge()
  const purge = jest.spyOn(adapter, 'purge')
  adapter.onConnect = () => Promise.reject(new Error('down'))
  lastOf(adapter.connections).lost(new Error('cut'))
  const purged = letters.purge()
  await clock.advance(1_000)
  expect(purge).not.toHaveBeenCalled()
  adapter.onConnect = () => Promise.resolve()
  await clock.advance(5_000)
  await expect(purged).resolves.toBe(3)
})
