import { spawn } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { TestContext } from './context.ts'
import type { Scenario } from './child.ts'
import { realClock, within } from './schedule.ts'
import type { ChildProcesses } from './types.ts'

export interface Child {
  /** Waits for a text on stdout. */
  line(text: string): Promise<void>
  kill(signal: NodeJS.Signals): void
  /** Whether it still runs. */
  alive(): boolean
  /** Resolves when the process has ended, by itself or not; rejects after `ms`. */
  ended(ms?: number): Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>
}

/** Runs one scenario of `child.ts` in a process of its own. It is killed after the test, whatever happens. */
export function startChild(t: TestContext, scenario: Scenario, queue: string): Child {
  const settings = t.harness.process
  if (settings === undefined)
    return t.skip('harness.process is missing: no process can be started for this broker')
  // A process takes its time to start on a busy machine.
  const child = spawnChild(settings, scenario, queue, t.leaseMs, t.patienceMs + 10_000)
  t.defer(async () => {
    child.kill('SIGKILL')
    await child.ended()
  })
  return child
}

/** The same for a test without a context: it kills the process itself. `patienceMs`: longest wait for a line or the end. */
export function spawnChild(
  settings: ChildProcesses,
  scenario: Scenario,
  queue: string,
  leaseMs: number,
  patienceMs: number,
): Child {
  const extension = extname(fileURLToPath(import.meta.url))
  const script = fileURLToPath(new URL(`./child${extension}`, import.meta.url))
  const execArgv =
    settings.execArgv ?? (extension === '.ts' ? ['--conditions=@mq/source', '--import', 'tsx'] : [])
  const module = typeof settings.module === 'string' ? settings.module : settings.module.href
  const url = module.startsWith('file:') ? module : pathToFileURL(module).href
  const child = spawn(process.execPath, [...execArgv, script, url, scenario, queue, String(leaseMs)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...settings.env },
  })
  const alive = () => child.exitCode === null && child.signalCode === null
  let output = ''
  let heard: (() => void)[] = []
  const hear = (chunk: Buffer) => {
    output += chunk.toString()
    const listeners = heard
    heard = []
    for (const listener of listeners) listener()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>(
    (resolve) => {
      child.once('close', (code, signal) => {
        resolve({ code, signal, output })
        hear(Buffer.alloc(0))
      })
    },
  )
  return {
    async line(text) {
      const seen = async () => {
        while (!output.includes(text)) {
          if (!alive()) throw new Error(`the process ended before it said ${text}: ${output.slice(-2000)}`)
          await new Promise<void>((resolve) => heard.push(resolve))
        }
      }
      await within(
        realClock,
        seen(),
        patienceMs,
        () => `the process did not say ${text}: ${output.slice(-2000)}`,
      )
    },
    kill: (signal) => void child.kill(signal),
    alive,
    ended: (ms = patienceMs) =>
      within(realClock, ended, ms, () => `the process did not end: ${output.slice(-2000)}`),
  }
}
