import { handlerOf } from './handler-of.ts'

/** Runs in a thread of the check at registration. */
export default async function loadModule(module: string): Promise<void> {
  await handlerOf(module)
}
