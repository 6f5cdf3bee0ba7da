import { expect, it } from '@jest/globals'
import { checkArguments } from '../src/known-arguments.ts'

it('takes what some server does something about', () => {
  expect(() => checkArguments({ 'x-queue-type': 'quorum', 'x-delivery-limit': null })).not.toThrow()
})

it('refuses what every server would ignore, by name', () => {
  expect(() => checkArguments({ 'x-queue-type': 'quorum', 'x-qeue-mode': 'lazy', mine: 1 })).toThrow(
    expect.objectContaining({
      code: 'MQ_UNSUPPORTED',
      message: expect.stringContaining('no queue argument "x-qeue-mode", "mine"'),
    }),
  )
})
