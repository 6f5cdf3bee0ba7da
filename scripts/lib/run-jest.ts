import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { whenClosed } from './ending.ts'

export interface JestRun {
  /** 1 when a signal ended it. */
  code: number
  /** What kept it from exiting, one line each; `null` if it exited by itself. */
  left: readonly string[] | null
}

interface Handle {
  type: string
  is_active: boolean
  is_referenced: boolean
  pid?: number
  localEndpoint?: { host: string; port: number } | null
  remoteEndpoint?: { host: string; port: number } | null
}

const LOOK_EVERY_MS = 200
/** For Node.js to write its own report. */
const DIAGNOSIS_MS = 10_000

/**
 * Runs Node.js with `args`, of which one makes it write `report` when all tests are done. A socket or timer that a test left open would keep it
 * for ever: then it is ended `exitMs` after its report, and the result says what was open.
 */
export async function runJest(
  args: readonly string[],
  {
    cwd,
    env,
    report,
    exitMs = 60_000,
  }: { cwd: string; env: NodeJS.ProcessEnv; report: string; exitMs?: number },
): Promise<JestRun> {
  const diagnosis = `${report}.handles`
  const child = spawn(
    process.execPath,
    [
      '--report-on-signal',
      `--report-directory=${dirname(diagnosis)}`,
      `--report-filename=${basename(diagnosis)}`,
      ...args,
    ],
    { cwd, env: { ...process.env, ...env }, stdio: 'inherit' },
  )
  let code: number | null = null
  child.on('error', (error) => {
    console.error(error.message)
    code = 1
  })
  whenClosed(child, (status) => {
    code = status ?? 1
  })
  const ended = () => code !== null
  await until(() => ended() || existsSync(report), Infinity)
  if (await until(ended, exitMs)) return { code: code ?? 1, left: null }
  child.kill('SIGUSR2')
  let left: string[] | null = null
  await until(() => (left = openHandles(diagnosis)) !== null, DIAGNOSIS_MS)
  child.kill('SIGKILL')
  await until(ended, Infinity)
  return { code: 1, left: left ?? [] }
}

async function until(condition: () => boolean, limitMs: number): Promise<boolean> {
  const limit = performance.now() + limitMs
  while (!condition()) {
    if (performance.now() > limit) return false
    await sleep(LOOK_EVERY_MS)
  }
  return true
}

/** `null` until the whole file is there. */
function openHandles(file: string): string[] | null {
  let libuv: Handle[]
  try {
    ;({ libuv } = JSON.parse(readFileSync(file, 'utf8')) as { libuv: Handle[] })
  } catch {
    return null
  }
  return libuv
    .filter((handle) => handle.is_active && handle.is_referenced && handle.type !== 'loop')
    .map(({ type, pid, localEndpoint, remoteEndpoint }) =>
      [
        type,
        pid === undefined ? '' : `process ${pid}`,
        localEndpoint ? `from ${localEndpoint.host}:${localEndpoint.port}` : '',
        remoteEndpoint ? `to ${remoteEndpoint.host}:${remoteEndpoint.port}` : '',
      ]
        .filter((part) => part !== '')
        .join(' '),
    )
}
