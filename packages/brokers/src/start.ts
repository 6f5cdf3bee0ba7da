import { messageOf } from './errors.ts'
import { createGuard, type BrokerGuard } from './processes/guard.ts'
import { kindOf } from './registry.ts'
import { environmentBroker } from './servers/environment.ts'
import type { Launched } from './servers/launched.ts'
import { asksForOwn, environmentAddress } from './sources/environment.ts'
import { sourcesFor } from './sources/locate.ts'
import type { BrokerName, RunningBroker, StartOptions } from './types.ts'

/**
 * Starts a broker, or takes the one that the environment names, and resolves when it answers. Sources, in order: the
 * environment's address (REDIS_URL or REDIS_HOST, RABBITMQ_URL or RABBITMQ_HOST, KAFKA_BOOTSTRAP_SERVERS; not when an
 * option asks for something special), the PATH, Debian's package when root, Docker.
 * Errors: BROKER_MISSING, BROKER_START_FAILED.
 */
export async function startBroker(name: BrokerName, options: StartOptions = {}): Promise<RunningBroker> {
  const guard = createGuard()
  const { broker } = await launchBroker(name, options, guard)
  if (options.keep) guard.release()
  return broker
}

/** The same, with the processes and folders that the command line keeps a record of. */
export async function launchBroker(
  name: BrokerName,
  options: StartOptions,
  guard: BrokerGuard,
): Promise<Launched> {
  const kind = kindOf(name)
  const sources = sourcesFor(options.sources)
  const address = sources.includes('environment') ? environmentAddress(name) : undefined
  if (address && !asksForOwn(options)) return environmentBroker(name, address)
  for (let tries = 1; ; tries++) {
    try {
      return await kind.start(options, sources, guard)
    } catch (error) {
      // Another process took the port between our look and the server's bind.
      const taken = /address already in use|eaddrinuse/i.test(messageOf(error))
      if (!taken || options.port !== undefined || tries === 3) throw error
    }
  }
}
