import { expect, it } from '@jest/globals'
import { createSlots } from '../src/slots.ts'

const never = new AbortController().signal

it('lets as many in as there are slots, then one for each that is freed, first come, first served', async () => {
  const slots = createSlots(2)
  const order: number[] = []
  const enter = (i: number) => slots.take(never).then(() => order.push(i))
  const all = [1, 2, 3, 4].map(enter)
  await Promise.all(all.slice(0, 2))
  expect(order).toEqual([1, 2])
  slots.free()
  await all[2]
  expect(order).toEqual([1, 2, 3])
  slots.free()
  await all[3]
  expect(order).toEqual([1, 2, 3, 4])
})

it('does not keep a slot for one that gave up waiting', async () => {
  const slots = createSlots(1)
  await slots.take(never)
  const impatient = new AbortController()
  const waits = slots.take(impatient.signal)
  const next = slots.take(never)
  impatient.abort(new Error('too long'))
  await expect(waits).rejects.toThrow('too long')
  await expect(slots.take(impatient.signal)).rejects.toThrow('too long')
  slots.free()
  await next
})
