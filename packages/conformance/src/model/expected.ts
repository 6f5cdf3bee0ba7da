import assert from 'node:assert/strict'

/** One copy of a message that may come. */
export interface Copy {
  readonly id: string
  readonly count: number
  /** Not before, in ms since the epoch. */
  readonly from: number
  /** It is there for whoever looks, now. */
  readonly certain: boolean
  /** Something broke while this was settled: it may come, and need not. */
  readonly optional: boolean
}

/** How a copy was settled. */
export type Settlement = { readonly kind: 'ack' | 'dead' } | { readonly kind: 'retry'; readonly copy: Copy }

/** What a queue and its dead letters hold, and nothing else: no order, and no time but that of delays. */
export class Expected {
  readonly #copies = new Set<Copy>()
  readonly #dead = new Map<string, { least: number; most: number }>()
  readonly #done = new Set<string>()
  readonly #sent = new Set<string>()
  /** The first thing that should not have been, found where nobody listens for errors. */
  violation: Error | null = null

  sent(id: string, from: number): void {
    this.#sent.add(id)
    this.add({ id, count: 0, from, certain: from === 0 })
  }

  add(copy: Omit<Copy, 'optional'> & { optional?: boolean }): Copy {
    const added = { optional: false, ...copy }
    this.#copies.add(added)
    return added
  }

  /** Copies that must come, and may come by `now`. */
  due(now: number): readonly Copy[] {
    return [...this.#copies].filter(({ optional, from }) => !optional && from <= now)
  }

  has(copy: Copy): boolean {
    return this.#copies.has(copy)
  }

  get certain(): readonly Copy[] {
    return [...this.#copies].filter(({ certain, optional }) => certain && !optional)
  }

  get mandatory(): readonly Copy[] {
    return [...this.#copies].filter(({ optional }) => !optional)
  }

  /** One came: nothing else could have. */
  came(id: string, count: number, now: number): Copy {
    const copies = [...this.#copies].filter((copy) => copy.id === id)
    const early = copies.filter(({ from }) => from > now + 2)
    assert.ok(copies.length > 0, `${this.label(id)} came although it is not ready`)
    assert.ok(
      copies.length > early.length,
      `${this.label(id)} came ${Math.min(...copies.map(({ from }) => from - now))} ms before it was due`,
    )
    const fitting = copies.filter((copy) => copy.count === count && !early.includes(copy))
    const [copy] = fitting.sort((a, b) => Number(a.optional) - Number(b.optional))
    assert.ok(
      copy !== undefined,
      `${this.label(id)} came with the deliveryCount ${count}, not ${copies.map((each) => each.count).join(' or ')}`,
    )
    this.#copies.delete(copy)
    return copy
  }

  acknowledged({ id }: Copy): Settlement {
    this.#done.add(id)
    return { kind: 'ack' }
  }

  deadLettered({ id }: Copy): Settlement {
    const { least = 0, most = 0 } = this.#dead.get(id) ?? {}
    this.#dead.set(id, { least: least + 1, most: most + 1 })
    return { kind: 'dead' }
  }

  retried({ id, count }: Copy, from: number): Settlement {
    return { kind: 'retry', copy: this.add({ id, count: count + 1, from, certain: from === 0 }) }
  }

  /** Its owner is gone: it comes again, some time. */
  abandoned({ id, count }: Copy): void {
    this.add({ id, count, from: 0, certain: false })
  }

  /** The broker may not have heard that it was settled; where even the settlement is in doubt, that counts for its effect too. */
  doubted(original: Copy, settlement: Settlement, effect: boolean): void {
    this.add({ id: original.id, count: original.count, from: 0, certain: false, optional: true })
    if (!effect) return
    if (settlement.kind === 'dead') {
      const { least = 0, most = 0 } = this.#dead.get(original.id) ?? {}
      this.#dead.set(original.id, { least: Math.max(0, least - 1), most })
    }
    if (settlement.kind === 'retry' && this.#copies.delete(settlement.copy))
      this.add({ ...settlement.copy, optional: true })
  }

  /** What waits may be in hands that are gone: it comes, but nobody knows when. */
  unsettled(): void {
    for (const copy of [...this.#copies]) {
      if (!copy.certain) continue
      this.#copies.delete(copy)
      this.add({ ...copy, certain: false })
    }
  }

  /** Ids that were neither acknowledged nor found among the dead letters. */
  owed(found: ReadonlyMap<string, number>): readonly string[] {
    return [...this.#sent].filter((id) => !this.#done.has(id) && !found.has(id))
  }

  /** Dead letters that must be there beyond those found. */
  missing(found: ReadonlyMap<string, number>): readonly string[] {
    return [...this.#dead].flatMap(([id, { least }]) => ((found.get(id) ?? 0) < least ? [id] : []))
  }

  checkDead(id: string, times: number): void {
    const most = this.#dead.get(id)?.most ?? 0
    const why = most === 0 ? 'was dead-lettered by nobody' : `was dead-lettered ${times} times, not ${most}`
    assert.ok(times <= most, `${this.label(id)} ${why}`)
  }

  /** Messages are told apart by when they were sent: the first is `#1`. */
  label(id: string): string {
    const index = [...this.#sent].indexOf(id)
    return index < 0 ? id : `#${index + 1}`
  }
}
