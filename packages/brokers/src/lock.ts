import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { codeOf } from './errors.ts'
import { stateFolder } from './folders.ts'
import { isAlive } from './processes/process-table.ts'
import { progress } from './progress.ts'
import { pause } from './wait.ts'

/** Runs `work` while no other process on this machine runs anything under the same name. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const file = path.join(stateFolder(), `${name}.lock`)
  let told = false
  while (!tryLock(file)) {
    if (!told) progress(`waiting for another process (${name})`)
    told = true
    await pause(100)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}

function tryLock(file: string): boolean {
  try {
    const fd = openSync(file, 'wx')
    writeSync(fd, String(process.pid))
    closeSync(fd)
    return true
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  // A holder that was killed leaves its file behind. An empty file is being written right now.
  const holder = ownerOf(file)
  if (holder !== undefined && !isAlive(holder) && ownerOf(file) === holder) rmSync(file, { force: true })
  return false
}

function ownerOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    return pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}
