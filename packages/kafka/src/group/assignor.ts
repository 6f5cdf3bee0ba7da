/** One member of a group, as the leader sees it. */
export interface MemberView {
  readonly id: string
  readonly topics: readonly string[]
  /** Partitions that it reads, those that it is about to let go included. */
  readonly owned: Readonly<Record<string, readonly number[]>>
  /** Those of the owned that cannot move now: what is held of them takes long. */
  readonly pinned: Readonly<Record<string, readonly number[]>>
  /** It wants nothing but what it has: it holds messages and does not ask for more. */
  readonly only: boolean
}

export interface Assignment {
  readonly byMember: ReadonlyMap<string, Record<string, number[]>>
  /** Some partition is with nobody, because the one that reads it must let it go first: another round will follow. */
  readonly moving: boolean
}

/**
 * Who reads what. Each topic is spread evenly over the members that want it; a member keeps what it has as far as that is fair, and what
 * has to move is given to nobody until its reader has finished and let go: no message is handled twice because a consumer came or went.
 */
export function assign(
  members: readonly MemberView[],
  partitions: Readonly<Record<string, number>>,
): Assignment {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1))
  const byMember = new Map<string, Record<string, number[]>>(sorted.map(({ id }) => [id, {}]))
  const load = new Map<string, number>(sorted.map(({ id }) => [id, 0]))
  let moving = false
  for (const topic of Object.keys(partitions).sort()) {
    const count = partitions[topic] as number
    const interested = sorted.filter(({ topics }) => topics.includes(topic))
    const owners = ownersOf(interested, topic, count)
    const targets = targetsOf(interested, topic, owners, count, load)
    for (const [partition, target] of targets) {
      const owner = owners.get(partition)
      load.set(target, (load.get(target) ?? 0) + 1)
      if (owner !== undefined && owner !== target) {
        moving = true
        continue
      }
      const mine = byMember.get(target) as Record<string, number[]>
      ;(mine[topic] ??= []).push(partition)
    }
  }
  return { byMember, moving }
}

/** Partition → the member that reads it. Of two that say so the first is believed. */
function ownersOf(members: readonly MemberView[], topic: string, count: number): Map<number, string> {
  const owners = new Map<number, string>()
  for (const { id, owned } of members) {
    for (const partition of owned[topic] ?? [])
      if (partition < count && !owners.has(partition)) owners.set(partition, id)
  }
  return owners
}

/** Partition → the member that should read it, in order of partitions. */
function targetsOf(
  members: readonly MemberView[],
  topic: string,
  owners: ReadonlyMap<number, string>,
  count: number,
  load: ReadonlyMap<string, number>,
): Map<number, string> {
  const targets = new Map<number, string>()
  const views = new Map(members.map((view) => [view.id, view]))
  const takers = members.filter(({ only }) => !only).map(({ id }) => id)
  const pool: number[] = []
  for (let partition = 0; partition < count; partition++) {
    const owner = owners.get(partition)
    const view = owner === undefined ? undefined : views.get(owner)
    if (view !== undefined && (view.only || view.pinned[topic]?.includes(partition)))
      targets.set(partition, view.id)
    else pool.push(partition)
  }
  if (takers.length === 0) return targets
  const has = (id: string): number[] => pool.filter((partition) => owners.get(partition) === id)
  // Those that have most keep the odd ones; of equals those that have least elsewhere get them.
  const order = takers
    .map((id) => ({ id, own: has(id) }))
    .sort((a, b) => b.own.length - a.own.length || (load.get(a.id) ?? 0) - (load.get(b.id) ?? 0))
  const least = Math.floor(pool.length / takers.length)
  let odd = pool.length % takers.length
  const free = new Set(pool)
  const wants: string[] = []
  for (const { id, own } of order) {
    const quota = odd > 0 ? least + 1 : least
    if (odd > 0) odd--
    const kept = own.slice(0, quota)
    for (const partition of kept) {
      targets.set(partition, id)
      free.delete(partition)
    }
    for (let missing = quota - kept.length; missing > 0; missing--) wants.push(id)
  }
  for (const partition of free) targets.set(partition, wants.shift() as string)
  return new Map([...targets].sort(([a], [b]) => a - b))
}
