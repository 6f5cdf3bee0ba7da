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
  /** Partitions of one number hold the same keys in each of its topics: one member must have them all. */
  readonly together?: boolean | undefined
}

export interface Assignment {
  readonly byMember: ReadonlyMap<string, Record<string, number[]>>
  /** Some partition is with nobody, because the one that reads it must let it go first: another round will follow. */
  readonly moving: boolean
}

/** What is shared out as one: what belongs together of several topics, or one topic. */
interface Group {
  readonly topics: readonly string[]
  readonly count: number
  /** Partition → the member that reads it, for each topic. */
  readonly owners: readonly ReadonlyMap<number, string>[]
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
  const all = Object.keys(partitions).sort()
  const countOf = (topic: string): number => partitions[topic] as number
  for (const topics of sorted.some(({ together }) => together) ? [all] : all.map((topic) => [topic])) {
    const interested = sorted.filter((member) => topics.some((topic) => member.topics.includes(topic)))
    const owners = topics.map((topic) => ownersOf(interested, topic, countOf(topic)))
    const group = { topics, owners, count: Math.max(0, ...topics.map(countOf)) }
    for (const [partition, target] of targetsOf(interested, group, load)) {
      load.set(target, (load.get(target) ?? 0) + 1)
      if (owners.some((of) => (of.get(partition) ?? target) !== target)) {
        moving = true
        continue
      }
      const mine = byMember.get(target) as Record<string, number[]>
      for (const topic of topics) if (partition < countOf(topic)) (mine[topic] ??= []).push(partition)
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
  { topics, count, owners: byTopic }: Group,
  load: ReadonlyMap<string, number>,
): Map<number, string> {
  // Of two that each have a part of one the first is believed.
  const owners = new Map(byTopic.flatMap((of) => [...of]).reverse())
  const targets = new Map<number, string>()
  const views = new Map(members.map((view) => [view.id, view]))
  const takers = members.filter(({ only }) => !only).map(({ id }) => id)
  const pool: number[] = []
  for (let partition = 0; partition < count; partition++) {
    const owner = owners.get(partition)
    const view = owner === undefined ? undefined : views.get(owner)
    if (view !== undefined && (view.only || topics.some((topic) => view.pinned[topic]?.includes(partition))))
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
