import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Ended {
  /** `null`: it was ended by a signal. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly ended: Promise<Ended>
  /** Resolves with the match once the output has one; rejects when the program ends without it. */
  printed(pattern: RegExp): Promise<RegExpExecArray>
  signal(name: 'SIGINT' | 'SIGTERM'): void
}

/** Starts a program as a user does, in memory unless `env` says otherwise. `main`: the URL of its source. */
export function startExample(main: URL, env: Readonly<Record<string, string>> = {}): Running {
  const flags = ['--conditions=@mq/source', '--import', 'tsx']
  const child = spawn(process.execPath, [...flags, fileURLToPath(main)], {
    env: { ...process.env, NODE_OPTIONS: '', MESSAGE_BROKER: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code]): Ended => ({
    code: code as number | null,
    stdout,
    stderr,
  }))
  return {
    ended,
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(stdout)
          if (match === null) return
          child.stdout.off('data', look)
          resolve(match)
        }
        child.stdout.on('data', look)
        void ended.then(() => reject(new Error(`ended without ${pattern}:\n${stdout}${stderr}`)))
        look()
      }),
    signal: (name) => void child.kill(name),
  }
}

/** Runs a program to its end. */
export function runExample(main: URL, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return startExample(main, env).ended
}
