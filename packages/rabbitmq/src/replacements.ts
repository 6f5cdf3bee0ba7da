import type { SettleOutcome } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import type { Held } from './wire.ts'

/** One outcome for each delivery of a call, once it is known what became of its copies. */
type Work = (signal: AbortSignal) => Promise<readonly SettleOutcome[]>

/**
 * The copies that are to replace deliveries. A copy is under way until the broker has answered, however often somebody asks meanwhile: whoever asks again
 * waits for the same one, since another would be one more message.
 */
export interface Replacements {
  begin(helds: readonly Held[], work: Work): void
  /** What becomes of one that was begun, or an error when the time for an answer is over: then ask again. `lost`: it was not begun. */
  outcome(held: Held): Promise<SettleOutcome>
  has(held: Held): boolean
  /** Waits no longer for the broker; resolves with what is known. */
  giveUp(helds: readonly Held[]): Promise<unknown>
  /** Resolves when none is under way, or the time for an answer is over. Never rejects. */
  ended(): Promise<unknown>
}

interface Replacement {
  readonly end: Promise<SettleOutcome>
  readonly giveUp: AbortController
}

export function createReplacements(connection: Pick<Connection, 'rpc'>): Replacements {
  const begun = new WeakMap<Held, Replacement>()
  const underWay = new Set<Promise<unknown>>()

  return {
    begin(helds, work) {
      const giveUp = new AbortController()
      const ending = work(giveUp.signal).catch((error: unknown) => helds.map(() => ({ error })))
      underWay.add(ending)
      void ending.then(() => underWay.delete(ending))
      helds.forEach((held, i) => {
        begun.set(held, { end: ending.then((outcomes) => outcomes[i] as SettleOutcome), giveUp })
      })
    },
    async outcome(held) {
      const replacement = begun.get(held)
      if (replacement === undefined) return 'lost'
      try {
        const outcome = await connection.rpc(replacement.end, 'storing a copy')
        // One that is stored stays known: who gave up waiting just before asks once more.
        if (outcome !== 'settled' && begun.get(held) === replacement) begun.delete(held)
        return outcome
      } catch (error) {
        return { error }
      }
    },
    has: (held) => begun.has(held),
    giveUp(helds) {
      const given = helds.flatMap((held) => begun.get(held) ?? [])
      for (const { giveUp } of given) giveUp.abort()
      return Promise.all(given.map(({ end }) => end))
    },
    ended: () => connection.rpc(Promise.all(underWay), 'storing copies').catch(() => undefined),
  }
}
