import { describe, expect, it } from '@jest/globals'
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
