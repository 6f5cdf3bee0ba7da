import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from '@jest/globals'
import { root } from '../lib/workspace.ts'

const program = fileURLToPath(new URL('./programs/long-step.ts', import.meta.url))

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

it.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends what a script runs, removes its folder, and is how it ends',
  async (signal) => {
    const child = spawn(process.execPath, ['--import', 'tsx', program], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    const pidOf = () => {
      const file = join(output.trim(), 'pid')
      return output.endsWith('\n') && existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
    }
    while (pidOf() === 0) await sleep(20)
    const [pid, folder] = [pidOf(), output.trim()]
    const closed = once(child, 'close')
    child.kill(signal)
    // As from a terminal and from a package manager at once.
    child.kill(signal)
    expect(await closed).toEqual([null, signal])
    expect(output).toBe(`${folder}\n`)
    expect(isAlive(pid)).toBe(false)
    expect(existsSync(folder)).toBe(false)
  },
  60_000,
)
