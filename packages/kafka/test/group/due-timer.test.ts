import { expect, it } from '@jest/globals'
import { until } from '@mq/conformance/fixtures'
import { createDueTimer } from '../../src/group/due-timer.ts'
import type { Partition } from '../../src/group/partition-contract.ts'

it('what is due of a partition that is about to go is not asked for again and again', async () => {
  const now = Date.now()
  const leaving = { leavingSince: 1, delayed: { nextDue: now } }
  const staying = { leavingSince: null, delayed: { nextDue: now + 100 } }
  let asked = 0
  const owned = new Map([
    ['t/0', leaving as Partition],
    ['t/1', staying as Partition],
  ])
  const timer = createDueTimer(owned, () => {
    asked++
    if (Date.now() >= staying.delayed.nextDue) staying.delayed.nextDue = Number.POSITIVE_INFINITY
  })
  timer.watch()
  await until(() => staying.delayed.nextDue === Number.POSITIVE_INFINITY)
  timer.stop()
  // A timer may be early by one.
  expect(asked).toBeLessThan(4)
})
