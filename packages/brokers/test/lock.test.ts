import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { withLock } from '../src/lock.ts'

describe('withLock', () => {
  const before = process.env['MQ_BROKERS_STATE']
  let folder: string
  const file = (): string => path.join(folder, 'test.lock')

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'mq-lock-'))
    process.env['MQ_BROKERS_STATE'] = folder
  })
  afterEach(() => {
    jest.restoreAllMocks()
    if (before === undefined) delete process.env['MQ_BROKERS_STATE']
    else process.env['MQ_BROKERS_STATE'] = before
    rmSync(folder, { recursive: true, force: true })
  })

  it('lets one work after the other, and leaves nothing behind', async () => {
    const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true)
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      // For as long as the others need to find it locked.
      await new Promise((resolve) => setImmediate(resolve))
      inside--
    }
    await Promise.all([1, 2, 3].map(() => withLock('test', work)))
    expect(most).toBe(1)
    expect(readdirSync(folder)).toEqual([])
    expect(told).toHaveBeenCalledWith(`[brokers] waiting for process ${process.pid}, which holds ${file()}\n`)
  })

  it('is free again when the work fails', async () => {
    await expect(withLock('test', () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
    expect(existsSync(file())).toBe(false)
  })

  it.each([
    ['is empty', ''],
    ['names a process that is gone', `${2 ** 22 + 1} 1`],
    ['names a number that another process has by now', `${process.pid} another-start`],
  ])('passes over a file that %s', async (_name, text) => {
    writeFileSync(file(), text)
    let held = ''
    await withLock('test', () => {
      held = readFileSync(file(), 'utf8')
      return Promise.resolve()
    })
    expect(held).toMatch(new RegExp(`^${process.pid} \\S+$`))
  })
})
