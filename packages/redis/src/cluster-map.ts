import { type Buffer } from 'node:buffer'
import type { Address, Reply } from './link.ts'
import { SLOTS } from './slots.ts'

/** Which master has which slots. */
export interface Topology {
  /** Slot → `host:port` of its master. */
  readonly slots: (string | undefined)[]
  readonly masters: ReadonlyMap<string, { readonly address: Address; readonly replicas: number }>
}

/** Reads the answer to CLUSTER SLOTS. */
export function readTopology(reply: Reply, from: Address): Topology {
  const slots: (string | undefined)[] = new Array<string | undefined>(SLOTS).fill(undefined)
  const masters = new Map<string, { address: Address; replicas: number }>()
  for (const range of reply as readonly (readonly [
    number,
    number,
    readonly [Buffer | null, number],
    ...Reply[],
  ])[]) {
    const [start, stop, master, ...replicas] = range
    const host = master[0] === null ? '' : String(master[0])
    // An empty host is the one that was asked.
    const address = { host: host === '' || host === '?' ? from.host : host, port: master[1] }
    const name = nameOf(address)
    masters.set(name, { address, replicas: replicas.length })
    for (let slot = start; slot <= stop; slot++) slots[slot] = name
  }
  return { slots, masters }
}

export function nameOf(address: Address): string {
  return `${address.host}:${address.port}`
}
