import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { WorkerContext, WorkerMessage } from './job.ts'

/** What the default export of a worker's module is. */
export type ModuleHandler = (message: WorkerMessage, context: WorkerContext) => unknown

/** Loads a worker's module, once in each thread. Throws what the module throws, and a TypeError when its default export is no function. */
export async function handlerOf(module: string): Promise<ModuleHandler> {
  const { default: handler } = await load(module)
  if (typeof handler === 'function') return handler as ModuleHandler
  throw new TypeError(
    `${module} has no function as its default export: export default async function (message, context) { … }`,
  )
}

async function load(module: string): Promise<{ default?: unknown }> {
  try {
    return (await import(module)) as { default?: unknown }
  } catch (error) {
    // In a thread, Node 20 leaves out what --import tsx does for `import`, and keeps what it does for `require`.
    if ((error as { code?: unknown } | null)?.code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error
    return createRequire(import.meta.url)(fileURLToPath(module)) as { default?: unknown }
  }
}
