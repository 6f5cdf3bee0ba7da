import { brokerError, messageOf } from './errors.ts'
import { kindOf } from './registry.ts'
import { checkAnswers, environmentAddress } from './sources/environment.ts'
import { sourcesFor } from './sources/locate.ts'
import type { BrokerName, Source } from './types.ts'

/**
 * Makes sure that each broker can be started, before the first test: installs what is missing and may be installed.
 * Rejects with one BROKER_MISSING whose message has a line for each broker that stays missing and the command that
 * helps. With `debian`, a release such as `trixie`, that release's servers are meant.
 */
export async function requireBrokers(
  names: readonly BrokerName[],
  options: { sources?: readonly Source[]; debian?: string } = {},
): Promise<void> {
  const sources = sourcesFor(options.sources)
  const missing: string[] = []
  for (const name of new Set(names)) {
    try {
      const address =
        sources.includes('environment') && options.debian === undefined ? environmentAddress(name) : undefined
      if (address) await checkAnswers(address)
      else await kindOf(name).ensure(sources, options.debian)
    } catch (error) {
      missing.push(`${name}: ${messageOf(error).replaceAll('\n', ' ')}`)
    }
  }
  if (missing.length > 0) throw brokerError('BROKER_MISSING', missing.join('\n'))
}
