import { ValidationError } from './errors.ts'
import type {
  BatchHandlerFunction,
  BatchOptions,
  HandlerContext,
  HandlerFunction,
  HandlerOptions,
} from './consume/handler.ts'
import type { Message } from './message/message.ts'
import { resolveQueue, type QueueRef } from './message/typed.ts'

/** Where registrations are kept, on whatever holds them; the same symbol in every copy of this package. */
const HANDLERS = Symbol.for('@mq/handlers')

/** A registration on a class (legacy decorators), an instance (standard ones) or a wrapped function (`key` undefined). */
interface Registration {
  readonly key: string | symbol | undefined
  readonly queue: QueueRef
  readonly options: HandlerOptions
  /** The same for all decorators of one method of one class; tells an override that is decorated anew. */
  readonly group: unknown
}

type Holder = { [HANDLERS]?: readonly Registration[] }

/** What `messageHandler(queue, options)` answers: a decorator of methods in both styles, and a wrapper of functions. */
export interface MessageHandlerDecorator<Body> {
  <This, B extends Body>(
    method: (this: This, message: Message<B>, context: HandlerContext) => unknown,
    context: MethodContext,
  ): void
  <This, B extends Body>(
    method: (this: This, messages: Message<B>[], context: HandlerContext) => unknown,
    context: MethodContext,
  ): void
  (target: object, key: string | symbol, descriptor: PropertyDescriptor): void
  <B extends Body, Result>(fn: HandlerFunction<B, Result>): HandlerFunction<B, Result>
  <B extends Body>(fn: BatchHandlerFunction<B>): BatchHandlerFunction<B>
}

/** The same of `messageHandler(queue, { batch })`: for methods and functions that take an array. */
export interface BatchHandlerDecorator<Body> {
  <This, B extends Body>(
    method: (this: This, messages: Message<B>[], context: HandlerContext) => unknown,
    context: MethodContext,
  ): void
  (target: object, key: string | symbol, descriptor: PropertyDescriptor): void
  <B extends Body>(fn: BatchHandlerFunction<B>): BatchHandlerFunction<B>
}

/** What is needed of a standard decorator's context, whatever the class and the method. */
interface MethodContext {
  readonly kind: 'method'
  readonly name: string | symbol
  readonly private: boolean
  readonly access: { readonly get: (object: never) => unknown }
  readonly metadata: object | undefined
  addInitializer(initializer: (this: unknown) => void): void
}

/** One handler found by `handlersOf`, ready to be registered. */
export interface FoundHandler {
  readonly queue: QueueRef
  readonly options: HandlerOptions
  readonly fn: HandlerFunction
}

/**
 * Says that a method handles a queue: `@messageHandler('orders', { concurrency: 5 })`, with standard or legacy (experimental)
 * decorators; or wraps a function, which itself stays as it was: `messageHandler('orders')(fn)`. Nothing is registered until
 * `queue.registerHandlers(…)`. An override in a subclass takes over the registration.
 *
 * Throws `ValidationError` for a wrong queue name, and on anything that is no public method.
 */
export function messageHandler<Body = unknown>(
  queue: QueueRef<Body>,
  options: BatchOptions,
): BatchHandlerDecorator<Body>
export function messageHandler<Body = unknown>(
  queue: QueueRef<Body>,
  options?: HandlerOptions,
): MessageHandlerDecorator<Body>
export function messageHandler<Body = unknown>(
  queue: QueueRef<Body>,
  options: HandlerOptions = {},
): MessageHandlerDecorator<Body> {
  resolveQueue(queue)
  const decorate = (target: unknown, where?: unknown): unknown => {
    if (typeof where === 'string' || typeof where === 'symbol') {
      // What the class declares: other decorators may have made an accessor of a method.
      const declared: unknown = Object.getOwnPropertyDescriptor(target, where)?.value
      if (typeof declared !== 'function') throw misused(`${String(where)} is no method`)
      add(target as Holder, { key: where, queue, options, group: target })
      return undefined
    }
    if (typeof where === 'object' && where !== null) {
      decorateStandard(where as MethodContext, queue, options)
      return undefined
    }
    if (typeof target !== 'function') throw misused('it wraps a function')
    if (isClass(target)) throw misused(`${target.name || 'this'} is a class`)
    return wrapFunction(target as HandlerFunction, { key: undefined, queue, options, group: undefined })
  }
  return decorate as MessageHandlerDecorator<Body>
}

function decorateStandard(context: MethodContext, queue: QueueRef, options: HandlerOptions): void {
  const key = context.name
  const kind: string = context.kind
  if (kind !== 'method') throw misused(`${String(key)} is a ${kind}`)
  if (context.private) throw misused(`${String(key)} is a private method`)
  // Compilers make `metadata` per class, where they make it at all, and share `access` between a method's decorators.
  const group: unknown = context.metadata ?? context.access.get
  // By name and not on the function: another decorator may put a function of its own in its place.
  context.addInitializer(function (this: unknown) {
    add(this as Holder, { key, queue, options, group })
  })
}

/** Of one that is decorated, legacy decorators get the class alone, as a wrapper gets its function. */
function isClass(fn: { toString(): string }): boolean {
  return /^class\b/.test(Function.prototype.toString.call(fn))
}

function misused(what: string): ValidationError {
  return new ValidationError(
    `@messageHandler is for public methods, or wraps a function: messageHandler(queue)(fn); ${what}`,
  )
}

function add(holder: Holder, registration: Registration): void {
  const { key, group } = registration
  const own = Object.hasOwn(holder, HANDLERS) ? (holder[HANDLERS] ?? []) : []
  // On an instance the base class came first: what an override says anew replaces it.
  const kept = own.filter((other) => other.key !== key || other.group === group)
  Object.defineProperty(holder, HANDLERS, { value: [...kept, registration], configurable: true })
}

function wrapFunction(fn: HandlerFunction, registration: Registration): HandlerFunction {
  const wrapped: HandlerFunction = function (this: unknown, message, context) {
    return fn.call(this, message, context)
  }
  Object.defineProperty(wrapped, 'name', { value: fn.name })
  const earlier = (fn as Holder)[HANDLERS] ?? []
  Object.defineProperty(wrapped, HANDLERS, { value: [...earlier, registration] })
  return wrapped
}

/**
 * Every handler of an instance (decorated methods, inherited ones included, bound to it; wrapped functions in its own
 * properties), of a class (its static methods) or of a wrapped function. Two for one queue are both answered. Throws
 * `ValidationError` when there are none.
 */
export function handlersOf(target: object): FoundHandler[] {
  if ((typeof target !== 'object' && typeof target !== 'function') || (target as unknown) === null)
    throw empty(target)
  const found = [...functionsOf(target), ...methodsOf(target)]
  if (found.length === 0) throw empty(target)
  return found
}

/** Wrapped functions: the target itself, or the values of its own properties. */
function functionsOf(target: object): FoundHandler[] {
  const candidates: [unknown, unknown][] = [[target, undefined]]
  for (const key of Reflect.ownKeys(target)) {
    // Values alone: a getter may do anything.
    const value: unknown = Object.getOwnPropertyDescriptor(target, key)?.value
    if (value !== target) candidates.push([value, target])
  }
  return candidates.flatMap(([value, owner]) => {
    if (typeof value !== 'function' || !Object.hasOwn(value, HANDLERS)) return []
    const registrations = (value as Holder)[HANDLERS] ?? []
    return registrations
      .filter(({ key }) => key === undefined)
      .map(({ queue, options }) => ({ queue, options, fn: value.bind(owner) as HandlerFunction }))
  })
}

function methodsOf(target: object): FoundHandler[] {
  const found: FoundHandler[] = []
  const seen = new Set<string | symbol>()
  for (
    let holder: object | null = target;
    holder !== null;
    holder = Object.getPrototypeOf(holder) as object | null
  ) {
    const own = Object.hasOwn(holder, HANDLERS) ? ((holder as Holder)[HANDLERS] ?? []) : []
    const keys = new Set<string | symbol>()
    for (const { key, queue, options } of own) {
      if (key === undefined || seen.has(key)) continue
      keys.add(key)
      const method = (target as Record<string | symbol, unknown>)[key]
      if (typeof method !== 'function')
        throw new ValidationError(`The handler ${String(key)} is no longer a method`)
      found.push({ queue, options, fn: method.bind(target) as HandlerFunction })
    }
    // What a subclass says of a method counts, not what its base class said.
    for (const key of keys) seen.add(key)
  }
  return found
}

function empty(target: unknown): ValidationError {
  if (typeof target === 'function' && target.prototype !== undefined) {
    return new ValidationError(
      `${target.name || 'This class'} has no static handlers: pass an instance, or wrap the function with messageHandler(queue)`,
    )
  }
  return new ValidationError(
    'registerHandlers takes instances with @messageHandler methods, or functions wrapped by messageHandler(queue)(fn)',
  )
}
