import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { brokerError, messageOf } from '../errors.ts'
import { pause, waitUntil } from '../wait.ts'
import type { Guard } from './guard.ts'
import { groupIsAlive, groupIsStopped, signalGroup, startMark } from './process-table.ts'
import type { ServerNode } from './server-node.ts'

export interface NativeNodeSpec {
  /** For error messages, e.g. `redis-server on port 20001`. */
  label: string
  command: string
  args: readonly string[]
  env?: NodeJS.ProcessEnv
  cwd: string
  /** Standard output and error go here; its end is shown when the start fails. */
  logPath: string
  /** True once the server does its job. Asked again and again; a throw counts as "not yet". */
  ready: () => Promise<boolean>
  readyTimeoutMs: number
}

/** A server as a child process in a process group of its own. */
export function nativeNode(spec: NativeNodeSpec, guard: Guard): ServerNode {
  let child: ChildProcess | undefined
  let starting: Promise<void> | undefined

  function launch(): ChildProcess {
    const log = openSync(spec.logPath, 'a')
    const launched = spawn(spec.command, spec.args, {
      cwd: spec.cwd,
      env: spec.env ?? process.env,
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    if (launched.pid !== undefined) guard.watchGroup(launched.pid)
    launched.on('error', () => undefined)
    launched.on('exit', () => {
      if (launched.pid !== undefined) guard.forgetGroup(launched.pid)
      if (child === launched) child = undefined
    })
    // A running server must not keep a finished test run alive.
    launched.unref()
    return launched
  }

  /** A second call waits for the first: "does nothing" must still mean "it answers now". */
  function start(): Promise<void> {
    starting ??= (child ? Promise.resolve() : startUp()).finally(() => (starting = undefined))
    return starting
  }

  async function startUp(): Promise<void> {
    const launched = launch()
    child = launched
    let problem = 'did not answer'
    const checkAlive = (): void => {
      if (launched.pid !== undefined && launched.exitCode === null && launched.signalCode === null) return
      child = undefined
      throw brokerError('BROKER_START_FAILED', `${spec.label} ended at once\n${logTail(spec.logPath)}`)
    }
    const answers = await waitUntil(async () => {
      checkAlive()
      try {
        return await spec.ready()
      } catch (error) {
        problem = messageOf(error)
        return false
      }
    }, spec.readyTimeoutMs)
    // Another server may have answered in place of one that could not listen.
    if (answers) return checkAlive()
    await kill()
    const waited = `within ${spec.readyTimeoutMs / 1000} s: ${problem}`
    throw brokerError('BROKER_START_FAILED', `${spec.label} not ready ${waited}\n${logTail(spec.logPath)}`)
  }

  async function kill(): Promise<void> {
    await end('SIGKILL', 30_000)
  }

  /** True when the process is gone in time. */
  async function end(signal: NodeJS.Signals, timeoutMs: number): Promise<boolean> {
    const ending = child
    if (ending?.pid === undefined) return true
    const gone = once(ending, 'exit')
    signalGroup(ending.pid, signal)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), timeoutMs)
    })
    // The timer above keeps this process alive meanwhile: the child itself does not.
    const result = await Promise.race([gone, late])
    clearTimeout(timer)
    if (result === 'late') return false
    await groupGone(ending.pid)
    return true
  }

  return {
    start,
    kill,
    stop: async (politely) => {
      if (politely && child?.pid !== undefined) {
        signalGroup(child.pid, 'SIGCONT')
        if (await end('SIGTERM', 10_000)) return
      }
      await kill()
    },
    freeze: () => {
      signal('SIGSTOP')
      // By looks, not by the clock: on a machine that stalls, the time would be up before the server had any.
      for (let looks = 0; looks < 2_000; looks++) {
        if (child?.pid === undefined || groupIsStopped(child.pid)) return
        sleep(1)
      }
    },
    thaw: () => signal('SIGCONT'),
    handle: () => {
      const mark = child?.pid === undefined ? undefined : startMark(child.pid)
      return child?.pid === undefined || mark === undefined
        ? undefined
        : { kind: 'process', pid: child.pid, mark }
    },
  }

  function signal(name: NodeJS.Signals): void {
    if (child?.pid !== undefined) signalGroup(child.pid, name)
  }
}

/** Without giving the event loop a turn: nothing may happen between a freeze and what follows it. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Helpers of the server end a moment after it. */
async function groupGone(pid: number): Promise<void> {
  signalGroup(pid, 'SIGKILL')
  for (let tries = 0; tries < 400 && groupIsAlive(pid); tries++) await pause(5)
}

function logTail(file: string): string {
  if (!existsSync(file)) return '(no log)'
  return readFileSync(file, 'utf8').trim().split('\n').slice(-20).join('\n')
}
