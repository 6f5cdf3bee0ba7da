import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Result {
  code: number | null
  out: string
  err: string
}

/** Flags with which Node runs the sources as they are. Absolute: the child may run elsewhere. */
const nodeFlags = ['--conditions=@mq/source', '--import', import.meta.resolve('tsx')]

export function sourceFile(name: string): string {
  return fileURLToPath(new URL(`../../src/${name}`, import.meta.url))
}

export function startScript(args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [...nodeFlags, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
}

export function runScript(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Result> {
  return new Promise((resolve) => {
    const child = startScript(args, env)
    let out = ''
    let err = ''
    child.stdout?.on('data', (text: Buffer) => (out += text.toString()))
    child.stderr?.on('data', (text: Buffer) => (err += text.toString()))
    child.on('close', (code) => resolve({ code, out, err }))
  })
}
