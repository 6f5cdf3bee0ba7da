import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A program that does not end when it is asked to is killed after this long. */
const PATIENCE_MS = 5_000
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const children = new Set<ChildProcess>()
const folders = new Set<string>()
let ending = false
let installed = false

/** Ctrl-C reaches a terminal's whole group, a `kill` this process alone: either way nothing that it started is left. */
function install(): void {
  if (installed) return
  installed = true
  for (const signal of signals) process.on(signal, () => void end(signal))
}

async function end(signal: NodeJS.Signals): Promise<void> {
  // Package managers pass on what the terminal has sent already.
  if (ending) return
  ending = true
  const left = [...children].filter((child) => child.exitCode === null && child.signalCode === null)
  const over = Promise.all(left.map((child) => new Promise((resolve) => child.once('exit', resolve))))
  for (const child of left) child.kill('SIGTERM')
  const timer = setTimeout(() => left.forEach((child) => child.kill('SIGKILL')), PATIENCE_MS)
  await over
  clearTimeout(timer)
  for (const folder of folders) remove(folder)
  // With nobody listening any more it ends as it would have: the shell sees by what.
  for (const each of signals) process.removeAllListeners(each)
  process.kill(process.pid, signal)
}

/** The program ends with this process. `then` is not called while that ends: its caller would go on with the next step. */
export function whenClosed(child: ChildProcess, then: (code: number | null) => void): void {
  install()
  children.add(child)
  child.on('error', () => children.delete(child))
  child.on('close', (code) => {
    children.delete(child)
    if (!ending) then(code)
  })
}

/** Makes a temporary folder for `work`, and removes it afterwards, also when a signal ends this process meanwhile. */
export async function inTemporaryFolder<T>(prefix: string, work: (folder: string) => Promise<T>): Promise<T> {
  install()
  const folder = mkdtempSync(join(tmpdir(), prefix))
  folders.add(folder)
  try {
    return await work(folder)
  } finally {
    folders.delete(folder)
    remove(folder)
  }
}

/** What was killed a moment ago may still be writing. */
function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}
