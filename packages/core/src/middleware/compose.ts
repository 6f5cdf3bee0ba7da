import { MessageQueueError, ValidationError } from '../errors.ts'
import { Message } from '../message/message.ts'
import { withCertainty } from '../wrap-error.ts'
import type { Middleware } from './types.ts'

const NO_ERROR = Symbol('no error')

type Run<Rest extends unknown[], Result> = (message: Message, ...rest: Rest) => Promise<Result>

interface Layer<Result> {
  readonly name: string
  run(message: Message, next: (message?: Message) => Promise<Result>): unknown
  /** What the layer answers when it returned `result`, and `inner` is what `next` came to, if it was called. */
  answer(result: unknown, inner: Promise<Result> | undefined): Result | Promise<Result>
  /** What it rejects with when `error` was thrown in it; `passed`: it had called `next`. */
  failed(error: unknown, passed: boolean): unknown
}

/**
 * The handling of one message through every `process`, the first outermost, around `core`. Further arguments of a call are passed to `core` as they are.
 * Compose once, call per message; without any `process` it is `core` itself.
 */
export function composeProcess<Rest extends unknown[] = []>(
  middlewares: readonly Middleware[],
  core: Run<Rest, unknown>,
): Run<Rest, unknown> {
  const layers: Layer<unknown>[] = []
  for (const middleware of middlewares) {
    if (middleware.process === undefined) continue
    layers.push({
      name: middleware.name,
      run: middleware.process.bind(middleware),
      answer: (result) => result,
      failed: (error) => error,
    })
  }
  return compose(layers, core)
}

/** The sending of one message through every `send`, the first outermost, around `core`; else like `composeProcess`. */
export function composeSend<Rest extends unknown[] = []>(
  middlewares: readonly Middleware[],
  core: Run<Rest, string>,
): Run<Rest, string> {
  const layers: Layer<string>[] = []
  for (const middleware of middlewares) {
    if (middleware.send === undefined) continue
    layers.push({
      name: middleware.name,
      run: middleware.send.bind(middleware),
      answer: (result, inner) => {
        if (typeof result === 'string') return result
        // The message is stored: an error now would make the caller send it again.
        if (inner !== undefined) return inner
        throw new ValidationError(
          `Middleware ${middleware.name} neither called next() nor returned an id: throw an error to refuse a message`,
        )
      },
      // An error of the user's own goes on as it is.
      failed: (error, passed) =>
        MessageQueueError.is(error) ? withCertainty(error, passed ? 'unknown' : 'not-stored') : error,
    })
  }
  return compose(layers, core)
}

function compose<Rest extends unknown[], Result>(
  layers: readonly Layer<Result>[],
  core: Run<Rest, Result>,
): Run<Rest, Result> {
  if (layers.length === 0) return core
  // Asynchronous even when `core` throws at once, so that `next().catch(…)` sees every failure.
  const innermost: Run<Rest, Result> = async (message, ...rest) => core(message, ...rest)
  return layers.reduceRight(wrap, innermost)
}

function wrap<Rest extends unknown[], Result>(
  inner: Run<Rest, Result>,
  layer: Layer<Result>,
): Run<Rest, Result> {
  return async (message, ...rest) => {
    let running: Promise<Result> | undefined
    let pending = false
    let innerError: unknown = NO_ERROR
    const next = (replacement?: Message): Promise<Result> => {
      // Thrown, not rejected: a second call is often one that nobody awaits.
      if (running !== undefined) {
        throw new ValidationError(`Middleware ${layer.name} called next() twice for message ${message.id}`)
      }
      if (replacement !== undefined && !Message.is(replacement)) {
        throw new ValidationError(`Middleware ${layer.name} passed something to next() that is no Message`)
      }
      pending = true
      running = inner(replacement ?? message, ...rest)
      running.then(
        () => (pending = false),
        (error: unknown) => {
          pending = false
          innerError = error
        },
      )
      return running
    }
    try {
      const result = await layer.run(message, next)
      // A next() that nobody awaited: success now would acknowledge a message that is still being handled.
      if (pending) await running
      return layer.answer(result, running)
    } catch (error) {
      // An error that only passes through was judged by the layer that it comes from.
      throw error === innerError ? error : layer.failed(error, running !== undefined)
    }
  }
}
