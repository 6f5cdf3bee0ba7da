import type { WorkerContext, WorkerMessage } from './job.ts'

/** What the default export of a worker's module is. */
export type ModuleHandler = (message: WorkerMessage, context: WorkerContext) => unknown

/** Loads a worker's module, once in each thread. Throws what the module throws, and a TypeError when its default export is no function. */
export async function handlerOf(module: string): Promise<ModuleHandler> {
  const { default: handler } = (await import(module)) as { default?: unknown }
  if (typeof handler === 'function') return handler as ModuleHandler
  throw new TypeError(
    `${module} has no function as its default export: export default async function (message, context) { … }`,
  )
}
