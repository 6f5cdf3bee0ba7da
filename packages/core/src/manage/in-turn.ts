import type { Engine } from '../engine.ts'

/** What is under way, or waits for that, in each engine. */
const lasts = new WeakMap<Engine, Map<string, Promise<unknown>>>()

/** Begins when all that was asked for under this name before has ended, however that was; at once without a name. */
export async function inTurn<T>(engine: Engine, name: string | null, work: () => Promise<T>): Promise<T> {
  if (name === null) return work()
  const byName = lasts.get(engine) ?? new Map<string, Promise<unknown>>()
  lasts.set(engine, byName)
  const mine = (byName.get(name) ?? Promise.resolve()).then(work, work)
  byName.set(name, mine)
  try {
    return await mine
  } finally {
    if (byName.get(name) === mine) byName.delete(name)
  }
}
