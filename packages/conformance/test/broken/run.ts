import { createMemoryBroker, memoryAdapter } from '@mq/core'
import { runConformance, type Results } from '@mq/conformance'
import { virtualClock } from './virtual-clock.ts'
import type { Broken } from './broken.ts'

/** The suite, or `only` these of its items, on an in-memory broker of its own, through an adapter with a fault. */
export async function runBroken(
  { fault, name }: Pick<Broken, 'fault' | 'name'>,
  only?: readonly string[],
): Promise<Results> {
  const clock = virtualClock()
  const broker = createMemoryBroker({ clock })
  const shared = new Map<string, unknown>()
  try {
    return await runConformance({
      broker: `memory that ${name}`,
      createAdapter: () => fault(memoryAdapter({ broker }), { shared, clock }),
      ...(only === undefined ? {} : { only }),
      resultsFile: null,
      report: () => undefined,
      patienceMs: 8000,
      // No real process stalls in virtual time.
      leaseMs: 1000,
      concurrency: 100,
      clock,
      seed: 20_260,
    })
  } finally {
    clock.stop()
  }
}

export function failedIds(results: Results): string[] {
  return Object.entries(results.items)
    .flatMap(([id, { outcome }]) => (outcome === 'failed' ? [id] : []))
    .sort()
}
