import { AdapterError } from '@mq/core/adapter'
import { type Address, openLink } from './link.ts'
import type { ResolvedOptions } from './options.ts'

/** Asks the sentinels, one after the other, where the master is. Called on every connect: after a fail-over core connects again. */
export async function masterOf(options: ResolvedOptions, signal: AbortSignal): Promise<Address> {
  const sentinel = options.sentinel
  if (sentinel === undefined) throw new AdapterError('MQ_CONFIGURATION', 'no sentinel is configured')
  // A dead one must not hold up the look at the others, if there are any.
  const longest = sentinel.nodes.length === 1 ? options.connectTimeoutMs : 2_000
  const short = { ...options, connectTimeoutMs: Math.min(options.connectTimeoutMs, longest) }
  let last: unknown = undefined
  for (const address of sentinel.nodes) {
    signal.throwIfAborted()
    try {
      const link = await openLink(
        {
          address,
          options: short,
          scripts: false,
          credentials: { username: sentinel.username, password: sentinel.password },
          lost: () => undefined,
        },
        signal,
      )
      try {
        const reply = await link.send(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinel.name])
        if (Array.isArray(reply)) return { host: String(reply[0]), port: Number(reply[1]) }
        last = new AdapterError(
          'MQ_CONFIGURATION',
          `the sentinel at ${address.host}:${address.port} knows no master "${sentinel.name}"`,
        )
      } finally {
        link.destroy(undefined)
      }
    } catch (error) {
      last = error
    }
  }
  throw last
}
