/** Least and longest session that brokers take unless told otherwise. */
const LEAST_SESSION_MS = 6_000
const LONGEST_SESSION_MS = 1_800_000

/** Sessions to try when one was refused: brokers have bounds of their own. Less first, as a longer one misses a dead member for longer. */
export function* otherSessions(first: number): Generator<number, undefined> {
  for (let ms = first; ms > LEAST_SESSION_MS;) yield (ms = Math.max(LEAST_SESSION_MS, ms >> 1))
  if (first < LEAST_SESSION_MS) yield LEAST_SESSION_MS
  for (let ms = Math.max(first, LEAST_SESSION_MS); ms < LONGEST_SESSION_MS;)
    yield (ms = Math.min(LONGEST_SESSION_MS, ms * 2))
}
