import { expect, it } from '@jest/globals'
import { isUp } from '../../src/cli/state.ts'
import { startMark } from '../../src/processes/process-table.ts'

it('takes for up what has processes, all of them the same as before', async () => {
  const entry = { name: 'redis', url: 'redis://127.0.0.1:1', details: {}, options: {}, folders: [] } as const
  const alive = { kind: 'process', pid: process.pid, mark: startMark(process.pid) ?? '' } as const
  expect(await isUp({ ...entry, handles: [alive] })).toBe(true)
  expect(await isUp({ ...entry, handles: [alive, { ...alive, mark: 'another' }] })).toBe(false)
  expect(await isUp({ ...entry, handles: [] })).toBe(false)
})
