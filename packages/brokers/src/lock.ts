import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { codeOf } from './errors.ts'
import { stateFolder } from './folders.ts'
import { isAlive, startMark } from './processes/process-table.ts'
import { progress } from './progress.ts'
import { pause } from './wait.ts'

/** Runs `work` while no other process on this machine runs anything under the same name. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const file = path.join(stateFolder(), `${name}.lock`)
  let told = false
  while (!tryLock(file)) {
    const holder = textOf(file)
    if (holder !== undefined && !isHeld(holder)) {
      if (!removeStale(file, holder)) await pause(10)
      continue
    }
    if (!told && holder !== undefined) {
      progress(`waiting for process ${holder.split(' ')[0]}, which holds ${file}`)
      told = true
    }
    await pause(100)
  }
  try {
    return await work()
  } finally {
    // Somebody may have removed it by hand, and another process have it by now.
    if (textOf(file) === ownText()) rmSync(file, { force: true })
  }
}

/**
 * A holder that was killed leaves its file behind. One process at a time looks whether it is still that file and removes it: another
 * one's look would be out of date by then, and what it removed the lock of whoever came next. False: another process is at it.
 */
function removeStale(file: string, holder: string): boolean {
  const removing = `${file}.stale`
  if (!tryLock(removing)) {
    const other = textOf(removing)
    if (other !== undefined && !isHeld(other)) rmSync(removing, { force: true })
    return false
  }
  try {
    if (textOf(file) === holder) rmSync(file, { force: true })
  } finally {
    rmSync(removing, { force: true })
  }
  return true
}

function ownText(): string {
  return `${process.pid} ${startMark(process.pid) ?? ''}`
}

let attempts = 0

/** Complete from its first moment: an empty file would name nobody, and be waited for without end. */
function tryLock(file: string): boolean {
  const whole = `${file}.${process.pid}.${attempts++}`
  writeFileSync(whole, ownText())
  try {
    linkSync(whole, file)
    return true
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    return false
  } finally {
    rmSync(whole, { force: true })
  }
}

/** By the process that wrote it: its number alone may be another one's by now. */
function isHeld(holder: string): boolean {
  const [pid = '', mark = ''] = holder.split(/ (.*)/)
  if (!(Number(pid) > 0)) return false
  return mark === '' ? isAlive(Number(pid)) : startMark(Number(pid)) === mark
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
