import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGuard } from '../../src/processes/guard.ts'
import { nativeNode } from '../../src/processes/native-node.ts'
import type { ServerNode } from '../../src/processes/server-node.ts'
import { pause, waitUntil } from '../../src/wait.ts'

/** Six threads that are always busy; each writes how far it came into a file of all. */
const program = `
const { Worker } = require('node:worker_threads')
const count = 'for (let n = 1; ; n++) require("node:fs").writeSync(require("node:worker_threads").workerData, String(n), 0)'
const workerData = require('node:fs').openSync(process.env.COUNT, 'w')
for (let thread = 0; thread < 6; thread++) new Worker(count, { eval: true, workerData })
`

let folder: string
let node: ServerNode
const count = (): string => readFileSync(join(folder, 'count'), 'utf8')

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mq-native-node-'))
  const env = { ...process.env, COUNT: join(folder, 'count') }
  const ready = (): Promise<boolean> => Promise.resolve(Number(count()) > 0)
  node = nativeNode(
    {
      label: 'counter',
      command: process.execPath,
      args: ['--eval', program],
      env,
      cwd: folder,
      logPath: join(folder, 'log'),
      ready,
      readyTimeoutMs: 30_000,
    },
    createGuard(),
  )
  await node.start()
}, 60_000)
afterAll(async () => {
  await node.stop(false)
  rmSync(folder, { recursive: true, force: true })
})

describe('freeze', () => {
  it('returns when every thread stands still, also on a busy machine', async () => {
    for (let round = 0; round < 20; round++) {
      node.freeze()
      const frozen = count()
      await pause(20)
      expect(count()).toBe(frozen)
      node.thaw()
      expect(await waitUntil(() => count() !== frozen, 20_000)).toBe(true)
    }
  }, 120_000)
})

describe('start', () => {
  it('rejects when another server answers in place of one that ended', async () => {
    const file = join(folder, 'ended')
    const program = 'require("node:fs").writeFileSync(process.env.FILE, String(process.pid))'
    const impostor = nativeNode(
      {
        label: 'impostor',
        command: process.execPath,
        args: ['--eval', program],
        env: { ...process.env, FILE: file },
        cwd: folder,
        logPath: join(folder, 'impostor.log'),
        // What it asks is up all the time; the answer comes once the process is gone.
        ready: () => waitUntil(() => existsSync(file) && !exists(Number(readFileSync(file, 'utf8'))), 30_000),
        readyTimeoutMs: 30_000,
      },
      createGuard(),
    )
    await expect(impostor.start()).rejects.toThrow(/impostor ended at once/)
    expect(impostor.handle()).toBeUndefined()
  }, 60_000)
})

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
