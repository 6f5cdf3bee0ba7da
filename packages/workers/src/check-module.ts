import { spawnSync } from 'node:child_process'
import { ConfigurationError } from '@mq/core'
import { loadingFlags } from './thread-files.ts'

const PROGRAM = `
try {
  const { default: handler } = await import(process.argv[1])
  if (typeof handler !== 'function')
    throw new TypeError('it has no function as its default export: export default async function (message, context) { … }')
} catch (error) {
  console.error(error)
  process.exit(1)
}
process.exit(0)
`

/** What Node exits with when a module waits for something that nothing will bring: https://nodejs.org/api/process.html#exit-codes */
const NEVER_SETTLED = 13

/**
 * Loads a worker's module and waits for that: a mistake in it shows where the handler is registered, not at the first message. Blocks, once
 * at start, as an `import` of the module would. In a process of its own: a thread's loaders need the event loop that waits here.
 * Throws `ConfigurationError`.
 */
export function checkModule(module: string, timeoutMs: number): void {
  const args = [...loadingFlags(), '--input-type=module', '--eval', PROGRAM, module]
  const { status, stderr, error } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status === 0) return
  const late = (error as { code?: unknown } | undefined)?.code === 'ETIMEDOUT' || status === NEVER_SETTLED
  throw new ConfigurationError(
    late
      ? `The worker module ${module} did not load within ${timeoutMs} ms`
      : `The worker module ${module} does not load: ${(error?.message ?? stderr).trim()}`,
  )
}
