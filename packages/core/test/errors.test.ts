import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import * as core from '../src/index.ts'

const documented = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')

describe('errors', () => {
  it('are documented, one heading per code, and no heading is without its code', () => {
    const headings = [...documented.matchAll(/^## (MQ_\w+)$/gm)].map(([, code]) => code)
    expect(headings.sort()).toEqual(Object.values(core.ErrorCode).sort())
  })

  it('are documented with the class that carries the code', () => {
    const classes = Object.entries(core).filter(
      ([name, value]) => /Error$/.test(name) && typeof value === 'function',
    )
    for (const [name] of classes) expect(documented).toContain(`\`${name}\``)
  })

  it('are recognised by their brand, not by their class', () => {
    const error = new core.ValidationError('no')
    expect(core.MessageQueueError.is(error)).toBe(true)
    expect(core.MessageQueueError.is(new Error('no'))).toBe(false)
    expect(core.MessageQueueError.is({ code: 'MQ_VALIDATION' })).toBe(false)
  })

  it('carry name, code and cause', () => {
    const cause = new Error('socket closed')
    const error = new core.ConnectionError('lost', { cause })
    expect(error).toMatchObject({ name: 'ConnectionError', code: 'MQ_CONNECTION', cause })
  })

  it('of handlers take a message, a cause and a delay that makes sense', () => {
    expect(new core.RetryError('later', { delayMs: 5 }).delayMs).toBe(5)
    expect(new core.RetryError().delayMs).toBeUndefined()
    expect(() => new core.RetryError('never', { delayMs: -1 })).toThrow(core.ValidationError)
    expect(new core.RejectError('bad', { cause: 1 }).cause).toBe(1)
    expect(() => new core.RetryError('later', { delay: 5 } as object)).toThrow(core.ValidationError)
    expect(() => new core.RejectError('bad', { requeue: true } as object)).toThrow(core.ValidationError)
  })

  it('of a remote handler bear its name', () => {
    expect(new core.RemoteError('TypeError', 'x is not a function')).toMatchObject({
      name: 'TypeError',
      code: 'MQ_REMOTE',
    })
  })
})
