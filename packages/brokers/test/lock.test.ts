import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { withLock } from '../src/lock.ts'
import { startMark } from '../src/processes/process-table.ts'

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

  it('leaves the lock that another process has by now', async () => {
    await withLock('test', () => {
      writeFileSync(file(), '1 another')
      return Promise.resolve()
    })
    expect(readFileSync(file(), 'utf8')).toBe('1 another')
  })

  it('waits while another process removes what a killed holder left', async () => {
    const stale = `${2 ** 22 + 1} 1`
    const other = `${process.pid} ${startMark(process.pid) ?? ''}`
    writeFileSync(file(), stale)
    writeFileSync(`${file()}.stale`, other)
    let held = false
    const waiting = withLock('test', () => {
      held = true
      return Promise.resolve()
    })
    // Many turns of the event loop, in each of which it could take the lock.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(held).toBe(false)
    expect(readFileSync(file(), 'utf8')).toBe(stale)
    rmSync(`${file()}.stale`)
    await waiting
    expect(readdirSync(folder)).toEqual([])
  })

  it('is not held up by one that was killed while it removed', async () => {
    writeFileSync(file(), `${2 ** 22 + 1} 1`)
    writeFileSync(`${file()}.stale`, `${2 ** 22 + 2} 1`)
    await withLock('test', () => Promise.resolve())
    expect(readdirSync(folder)).toEqual([])
  })
})
