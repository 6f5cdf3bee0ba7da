import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ConfigurationError } from '@mq/core'
import { loadingFile, loadingFlags, withoutInspector } from './thread-files.ts'

/** Asks a pool's thread to load the module: what loads in a program's main thread need not load there. */
const PROGRAM = `
const [timeoutMs, piscina, filename, module, ...execArgv] = process.argv.slice(1)
// Whoever waits for it may be killed meanwhile, and then nobody ends it.
setTimeout(() => process.exit(1), Number(timeoutMs))
const { default: { Piscina } } = await import(piscina)
const pool = new Piscina({ filename, execArgv, maxThreads: 1 })
pool.on('error', () => undefined)
pool.run(module).then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
`

const piscina = pathToFileURL(createRequire(import.meta.url).resolve('piscina')).href

/**
 * Loads a worker's module and waits for that: a mistake in it shows where the handler is registered, not at the first message. Blocks, once
 * at start, as an `import` of the module would. In a process of its own: threads need the event loop that waits here.
 * Throws `ConfigurationError`.
 */
export function checkModule(module: string, timeoutMs: number): void {
  const flags = loadingFlags()
  const args = [String(timeoutMs), piscina, fileURLToPath(loadingFile), module, ...flags]
  const node = [...flags, '--input-type=module', '--eval', PROGRAM, '--', ...args]
  const { status, stderr, error } = spawnSync(process.execPath, node, {
    encoding: 'utf8',
    env: withoutInspector(),
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status === 0) return
  const late = (error as { code?: unknown } | undefined)?.code === 'ETIMEDOUT'
  throw new ConfigurationError(
    late
      ? `The worker module ${module} did not load within ${timeoutMs} ms`
      : `The worker module ${module} does not load: ${error?.message ?? stderr.trim()}`,
  )
}
