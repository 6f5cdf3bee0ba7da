import { setMaxListeners } from 'node:events'

/** One to whose signal any number may listen: Node would warn of a leak at the eleventh. */
export function sharedController(): AbortController {
  const controller = new AbortController()
  setMaxListeners(Infinity, controller.signal)
  return controller
}
