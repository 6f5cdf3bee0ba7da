import { AdapterError } from '@mq/core/adapter'
import { classify } from './errors.ts'
import { rotated } from './rotated.ts'
import { type Address, ask, oneOf } from './link.ts'
import type { ResolvedOptions } from './options.ts'

/** Asks the sentinels, one after the other, where the master is. Called on every connect: after a fail-over core connects again. */
export async function masterOf(options: ResolvedOptions, signal: AbortSignal): Promise<Address> {
  const sentinel = options.sentinel
  if (sentinel === undefined) throw new AdapterError('MQ_CONFIGURATION', 'no sentinel is configured')
  const within = oneOf(options, sentinel.nodes.length)
  const credentials = { username: sentinel.username, password: sentinel.password }
  const question = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinel.name]
  let last: unknown = undefined
  for (const address of rotated(sentinel, sentinel.nodes)) {
    signal.throwIfAborted()
    try {
      const reply = await ask({ address, options: within, credentials }, question, signal)
      if (Array.isArray(reply)) return { host: String(reply[0]), port: Number(reply[1]) }
      last = new AdapterError(
        'MQ_CONFIGURATION',
        `the sentinel at ${address.host}:${address.port} knows no master "${sentinel.name}"`,
      )
    } catch (error) {
      last = error
      if (classify(error).code === 'MQ_AUTHENTICATION') throw error
    }
  }
  throw last
}
