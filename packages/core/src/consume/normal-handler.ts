import { ValidationError } from '../errors.ts'
import type { AnyHandler } from './handler.ts'
import type { NormalHandler } from './plan.ts'

/** A handler in one shape, whichever form it was given in. Throws `ValidationError` for what is none. */
export function normalHandler(handler: AnyHandler): NormalHandler {
  if (typeof handler === 'function') return { run: handler as never, onError: null }
  if (typeof (handler as { handle?: unknown } | null)?.handle !== 'function') {
    throw new ValidationError('A handler is a function, or an object with a method handle(message, context)')
  }
  const onError = typeof handler.handleError === 'function' ? handler.handleError.bind(handler) : null
  return { run: handler.handle.bind(handler) as never, onError: onError as never }
}
