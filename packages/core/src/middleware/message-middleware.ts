import { didYouMean } from '../config/suggest.ts'
import { ValidationError } from '../errors.ts'
import { defaultLogger, type Logger } from '../logger.ts'
import { Message } from '../message/message.ts'
import type { Middleware } from './types.ts'

const BRAND = Symbol.for('@mq/message-middleware')

/**
 * The class form of a middleware: subclass it and override any part. Every method may be asynchronous.
 *
 * `beforeProcess` and `beforeSend` may return a `Message` that replaces the one passed on, and refuse one by throwing.
 * `onError` and `onSendError` hear what failed further in; that error goes on whatever they do.
 */
export class MessageMiddleware {
  /** Names it in errors. Default: the name of the class. */
  readonly name: string

  constructor(name?: string) {
    this.name = name ?? new.target.name
  }

  beforeProcess(_message: Message): unknown {
    return undefined
  }

  afterProcess(_message: Message, _result: unknown): unknown {
    return undefined
  }

  onError(_message: Message, _error: unknown): unknown {
    return undefined
  }

  beforeSend(_message: Message): unknown {
    return undefined
  }

  /** `id` is what `send` resolves with. The message is stored: what this throws is logged, and nothing else. */
  afterSend(_message: Message, _id: string): unknown {
    return undefined
  }

  onSendError(_message: Message, _error: unknown): unknown {
    return undefined
  }
}
Object.defineProperty(MessageMiddleware.prototype, BRAND, { value: true })

const HOOKS = ['beforeProcess', 'afterProcess', 'onError', 'beforeSend', 'afterSend', 'onSendError'] as const
/** Of an onion layer. */
const PARTS: readonly string[] = ['process', 'send', 'bind']
type Hook = (typeof HOOKS)[number]
type Hooks = Partial<Pick<MessageMiddleware, Hook>>

/**
 * Either form of a middleware as an onion layer for one queue, with that queue's logger. Recognised by what it has, not by its
 * class. Throws `ValidationError` for anything else.
 */
export function toMiddleware(
  middleware: Middleware | MessageMiddleware | Hooks,
  logger: Logger = defaultLogger(),
): Middleware {
  const given = middleware as (Middleware & Hooks & { [BRAND]?: true }) | null | undefined
  if (typeof given !== 'object' || given === null) throw unusable()
  const hooked = HOOKS.filter((hook) => typeof given[hook] === 'function')
  // A class form may have a method of its own called `send`; an onion layer may have helpers called like hooks.
  if (given[BRAND] !== true && (typeof given.process === 'function' || typeof given.send === 'function')) {
    if (typeof given.name !== 'string' || given.name === '') {
      throw new ValidationError(
        'A middleware needs a name: { name, process?(message, next), send?(message, next) }',
      )
    }
    refuseMistyped(given)
    return typeof given.bind === 'function' ? given.bind(logger) : given
  }
  if (hooked.length === 0) throw unusable()
  return layerOf(
    given,
    new Set(hooked.filter((hook) => given[hook] !== MessageMiddleware.prototype[hook])),
    logger,
  )
}

/** Of a plain object: one of a class may well have methods of its own. Helpers are called like no part. */
function refuseMistyped(layer: Middleware): void {
  const prototype: unknown = Object.getPrototypeOf(layer)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return
  for (const [name, value] of Object.entries(layer)) {
    if (typeof value !== 'function' || PARTS.includes(name) || (HOOKS as readonly string[]).includes(name))
      continue
    const meant = didYouMean(name, PARTS)
    if (meant !== '')
      throw new ValidationError(`Middleware ${layer.name} has a function ${JSON.stringify(name)}${meant}`)
  }
}

function unusable(): ValidationError {
  return new ValidationError(
    'A middleware is { name, process?(message, next), send?(message, next) } or a subclass of MessageMiddleware',
  )
}

function layerOf(
  hooks: Hooks & { name?: unknown },
  overridden: ReadonlySet<Hook>,
  logger: Logger,
): Middleware {
  const name = typeof hooks.name === 'string' && hooks.name !== '' ? hooks.name : 'MessageMiddleware'
  const has = (...names: Hook[]) => names.some((hook) => overridden.has(hook))
  // `this` of the hooks is the object that was added: they keep state there.
  const report = { hooks, name, logger }
  return {
    name,
    ...(has('beforeProcess', 'afterProcess', 'onError') && {
      process: (message, next) => around(report, message, next, 'beforeProcess', 'afterProcess', 'onError'),
    }),
    ...(has('beforeSend', 'afterSend', 'onSendError') && {
      send: (message, next) => around(report, message, next, 'beforeSend', 'afterSend', 'onSendError'),
    }),
  }
}

async function around<Result>(
  { hooks, name, logger }: { hooks: Hooks; name: string; logger: Logger },
  message: Message,
  next: (message?: Message) => Promise<Result>,
  before: 'beforeProcess' | 'beforeSend',
  after: 'afterProcess' | 'afterSend',
  onError: 'onError' | 'onSendError',
): Promise<Result> {
  const replacement: unknown = await hooks[before]?.(message)
  const passed = Message.is(replacement) ? replacement : message
  let result: Result
  try {
    result = await next(passed)
  } catch (error) {
    try {
      await hooks[onError]?.(passed, error)
    } catch (hookError) {
      // The first error decides what becomes of the message, so it must not be hidden by this one.
      logger.error({ id: passed.id, middleware: name, error: hookError }, `${onError} of a middleware failed`)
    }
    throw error
  }
  try {
    await hooks[after]?.(passed, result as Result & string)
  } catch (hookError) {
    if (after === 'afterProcess') throw hookError
    // The message is stored: an error now would make the caller send it again.
    logger.error({ id: passed.id, middleware: name, error: hookError }, `${after} of a middleware failed`)
  }
  return result
}
