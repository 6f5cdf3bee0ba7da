import { describe, expect, it } from '@jest/globals'
import { createMemoryBroker, defineQueue, memoryAdapter, MessageQueue } from '../src/index.ts'
import { checkOptions } from '../src/check-options.ts'
import { ConfigurationError } from '../src/errors.ts'

interface Options {
  dryRun?: boolean
  limit?: number
}

function check(options: object, ...rest: [Refused?: typeof ConfigurationError]) {
  checkOptions<Options>(options, ['dryRun', 'limit'], 'redrive', ...rest)
}

describe('checkOptions', () => {
  it('lets known options pass, and none', () => {
    check({})
    check({ limit: 1, dryRun: undefined })
  })

  it('refuses any other, and says which one was meant', () => {
    expect(() => check({ dryrun: true })).toThrow('redrive has no option "dryrun" (did you mean "dryRun"?)')
    expect(() => check({ zzz: 1 })).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('refuses what is no object', () => {
    for (const options of [null, 5, 'limit'] as never[])
      expect(() => check(options)).toThrow('The options of redrive are an object')
  })

  it('throws the error it is told to', () => {
    expect(() => check({ limt: 1 }, ConfigurationError)).toThrow(
      expect.objectContaining({ code: 'MQ_CONFIGURATION' }),
    )
  })
})

describe('what is no object where options belong', () => {
  const nothing = null as never
  const isConfiguration = expect.objectContaining({ code: 'MQ_CONFIGURATION' })

  it('is refused by what makes a queue, before it is connected', () => {
    expect(() => new MessageQueue(memoryAdapter(), nothing)).toThrow(isConfiguration)
    for (const source of [nothing, undefined, 5, {}] as never[])
      expect(() => new MessageQueue(source)).toThrow('A MessageQueue takes an adapter')
    expect(() => memoryAdapter(nothing)).toThrow('The options of memoryAdapter are an object')
    expect(() => createMemoryBroker(nothing)).toThrow('The options of createMemoryBroker are an object')
    expect(() => defineQueue('orders', nothing)).toThrow('The options of defineQueue are an object')
  })

  it('is refused by subscribe', async () => {
    const queue = new MessageQueue(memoryAdapter())
    await queue.connect()
    await expect(queue.subscribe('t', 's', () => undefined, nothing)).rejects.toMatchObject({
      code: 'MQ_VALIDATION',
      message: 'The options of subscribe are an object',
    })
    await queue.disconnect()
  })
})
