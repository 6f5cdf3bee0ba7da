/**
 * A signal that aborts with another one, or after `ms` with a `TimeoutError`. Its timer does not keep the process alive.
 *
 * `AbortSignal.any([signal, AbortSignal.timeout(ms)])` says the same, but on Node 20 nothing holds the time-out: once it is collected as garbage the
 * signal never aborts.
 */
export function deadlineSignal(signal: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController()
  const expire = (): void =>
    controller.abort(new DOMException(`The operation took longer than ${ms} ms`, 'TimeoutError'))
  setTimeout(expire, ms).unref()
  return AbortSignal.any([signal, controller.signal])
}
