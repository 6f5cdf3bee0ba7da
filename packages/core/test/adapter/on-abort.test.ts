import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from '@jest/globals'
import { onAbort } from '../../src/adapter/on-abort.ts'

it('calls those that wait once the signal aborts, and none that was taken back', () => {
  const controller = new AbortController()
  const called: string[] = []
  onAbort(controller.signal, () => called.push('first'))
  const back = onAbort(controller.signal, () => called.push('second'))
  const backAmid = onAbort(controller.signal, () => called.push('third'))
  onAbort(controller.signal, () => {
    called.push('fourth')
    last()
  })
  const last = onAbort(controller.signal, () => called.push('fifth'))
  back()
  controller.abort()
  backAmid()
  expect(called).toEqual(['first', 'third', 'fourth'])
})

it('calls nothing for a signal that has aborted already', () => {
  const called: string[] = []
  const back = onAbort(AbortSignal.abort(), () => called.push('late'))
  back()
  expect(called).toEqual([])
})

it('listens once, however many wait, at once or one after another', () => {
  const { signal } = new AbortController()
  const all = Array.from({ length: 50 }, () => onAbort(signal, () => undefined))
  for (const back of all) back()
  onAbort(signal, () => undefined)()
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

it('lets go of signals for which nothing waits, of which Node keeps those that depend on others as long as they have a listener', async () => {
  const { signal } = new AbortController()
  const refs = Array.from({ length: 1000 }, () => {
    const either = AbortSignal.any([signal, new AbortController().signal])
    onAbort(either, () => undefined)()
    return new WeakRef(either)
  })
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  expect(refs.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(100)
})

it('hears a signal for which nothing waited while many others came and went', () => {
  const controller = new AbortController()
  const called: string[] = []
  onAbort(controller.signal, () => called.push('no more'))()
  const waits = new AbortController()
  onAbort(waits.signal, () => called.push('all the time'))
  for (let n = 0; n < 100; n++) onAbort(new AbortController().signal, () => undefined)()
  onAbort(controller.signal, () => called.push('again'))
  controller.abort()
  waits.abort()
  expect(called).toEqual(['again', 'all the time'])
})

it('keeps nothing of what was taken back', async () => {
  const { signal } = new AbortController()
  const refs = Array.from({ length: 10 }, () => {
    const held = { body: new Uint8Array(1024) }
    onAbort(signal, () => void held.body)()
    return new WeakRef(held)
  })
  // What was made in this turn is held until it ends.
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([])
  expect(signal.aborted).toBe(false)
})
