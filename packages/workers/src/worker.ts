import type { Answer, Job, ThrownError } from './job.ts'
import { handlerOf } from './handler-of.ts'

/** Types of which some values cannot cross into another thread. */
const CLONED: ReadonlySet<string> = new Set(['object', 'function', 'symbol'])

/** Runs in a thread, once for each message. */
export default async function run({ module, message, context }: Job): Promise<Answer> {
  const handler = await handlerOf(module)
  try {
    const result = await handler(message, context)
    // What cannot cross is refused here, where the error still says why.
    return { result: CLONED.has(typeof result) ? structuredClone(result) : result }
  } catch (thrown) {
    return { error: toThrownError(thrown) }
  }
}

function toThrownError(thrown: unknown): ThrownError {
  try {
    const { name, message, stack, code, delayMs } = Object(thrown) as Record<string, unknown>
    return {
      name: typeof name === 'string' ? name : 'Error',
      message: typeof message === 'string' ? message : String(thrown),
      stack: typeof stack === 'string' ? stack : '',
      code: typeof code === 'string' ? code : undefined,
      delayMs: typeof delayMs === 'number' ? delayMs : undefined,
    }
  } catch {
    // A getter or a proxy that throws, an object without a text.
    return { ...NAMELESS, message: 'the worker threw something that cannot be read' }
  }
}

const NAMELESS = { name: 'Error', stack: '', code: undefined, delayMs: undefined } as const
