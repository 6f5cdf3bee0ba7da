import { spawn } from 'node:child_process'
import { whenClosed } from './ending.ts'

export interface RunResult {
  /** Exit code; 1 when a signal ended the process or it could not start. */
  code: number
  /** Standard output and standard error, in the order they came. */
  output: string
  /** Standard output alone. */
  stdout: string
}

export interface RunOptions {
  /** @default the current folder */
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Show the output as it comes instead of collecting it. @default false */
  inherit?: boolean
}

/** Runs a program to its end and never rejects: a program that cannot start is a result with code 1. It ends with this process. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? process.cwd(),
      env: { ...process.env, ...options.env },
      stdio: options.inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let stdout = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text
      stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.on('error', (error) => {
      resolve({ code: 1, output: `${output}${command}: ${error.message}\n`, stdout })
    })
    whenClosed(child, (code) => resolve({ code: code ?? 1, output, stdout }))
  })
}

/** Like {@link run}, for a program whose failure ends everything: rejects with its output. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const result = await run(command, args, options)
  if (result.code !== 0) {
    throw new Error(`${command} ${args.join(' ')} exited with ${result.code}\n${result.output}`)
  }
  return result.stdout
}
