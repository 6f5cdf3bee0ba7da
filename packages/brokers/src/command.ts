import { spawn } from 'node:child_process'
import { brokerError } from './errors.ts'

export interface CommandOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Written to the command's standard input. */
  input?: string
  /** Default 60,000. The command is killed when it takes longer. */
  timeoutMs?: number
}

/** Runs a command to its end and resolves with its standard output; a non-zero exit rejects with both streams. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let out = ''
    let err = ''
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, options.timeoutMs ?? 60_000)
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    // The command may end before it has read everything; its exit code tells the story.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(brokerError('BROKER_COMMAND_FAILED', `${command} could not run: ${error.message}`, error))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) return resolve(out)
      const how = late ? 'took too long' : `ended with ${code ?? signal ?? 'nothing'}`
      const text = `${out}\n${err}`.trim().split('\n').slice(-15).join('\n')
      reject(
        brokerError('BROKER_COMMAND_FAILED', `${command} ${args.slice(0, 3).join(' ')} ${how}:\n${text}`),
      )
    })
  })
}
