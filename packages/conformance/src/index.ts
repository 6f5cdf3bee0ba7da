import { items } from './catalogue.ts'

export { conformance, runConformance } from './conformance.ts'
export { networkFaults, type Network, type NetworkHarness } from './network.ts'
export { processOutages, type OutageHarness } from './outages.ts'
export type { ChildProcesses, Faults, Harness, ItemResult, Link, Outcome, Results, Runner } from './types.ts'

/** Every item of the suite, for documentation. `title` reads as a sentence. */
export const conformanceItems: readonly {
  readonly id: string
  readonly group: string
  readonly title: string
}[] = items.map(({ id, group, title }) => ({ id, group, title }))

/** Every id, known without running anything. */
export const conformanceIds: readonly string[] = items.map(({ id }) => id)
