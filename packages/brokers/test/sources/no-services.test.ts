import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { withServicesForbidden } from '../../src/sources/no-services.ts'
import { waitUntil } from '../../src/wait.ts'
import { sourceFile, startScript } from '../helpers/scripts.ts'

describe('withServicesForbidden', () => {
  let folder: string
  let policy: string
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'mq-no-services-'))
    policy = path.join(folder, 'policy-rc.d')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('answers 101 during the work, and is gone after it', async () => {
    await withServicesForbidden(() => {
      expect(spawnSync(policy).status).toBe(101)
      return Promise.resolve()
    }, policy)
    expect(existsSync(policy)).toBe(false)
    await expect(withServicesForbidden(() => Promise.reject(new Error('no mirror')), policy)).rejects.toThrow(
      'no mirror',
    )
    expect(existsSync(policy)).toBe(false)
  })

  it("leaves somebody else's policy as it is", async () => {
    writeFileSync(policy, '#!/bin/sh\nexit 101\n')
    await withServicesForbidden(() => Promise.resolve(), policy)
    expect(readFileSync(policy, 'utf8')).toBe('#!/bin/sh\nexit 101\n')
  })

  it('removes one of ours that was left behind', async () => {
    let text = ''
    await withServicesForbidden(() => {
      text = readFileSync(policy, 'utf8')
      return Promise.resolve()
    }, policy)
    writeFileSync(policy, text)
    await withServicesForbidden(() => Promise.resolve(), policy)
    expect(existsSync(policy)).toBe(false)
  })

  it.each(['SIGINT', 'SIGKILL'] as const)(
    'goes with a process that ends by %s',
    async (signal) => {
      const program = `
import { withServicesForbidden } from ${JSON.stringify(sourceFile('sources/no-services.ts'))}
await withServicesForbidden(() => new Promise(() => { setInterval(() => {}, 1000); console.log('working') }), ${JSON.stringify(policy)})
`
      const child = startScript(['--input-type=module', '--eval', program], process.env)
      await once(child.stdout!, 'data')
      expect(existsSync(policy)).toBe(true)
      const over = once(child, 'exit')
      child.kill(signal)
      await over
      expect(await waitUntil(() => !existsSync(policy), 20_000)).toBe(true)
    },
    60_000,
  )
})
