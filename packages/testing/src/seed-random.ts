/** What took the place of what, the latest last: they may be given back in any order. */
const seeded: { random: () => number; before: () => number }[] = []

/**
 * Makes `Math.random` repeatable until the function that it answers is called: the spread of retries and reconnections is drawn from it, and
 * so a failing run replays to the millisecond. Throws a TypeError for a seed that is no whole number.
 */
export function seedRandom(seed: number): () => void {
  checkSeed(seed)
  let drawn = 0
  const mine = { random: () => uniform(seed, 0, ++drawn), before: Math.random }
  seeded.push(mine)
  Math.random = mine.random
  return () => {
    const at = seeded.indexOf(mine)
    if (at === -1) return
    seeded.splice(at, 1)
    const after = seeded[at]
    if (after !== undefined) after.before = mine.before
    // Somebody else's, put there meanwhile, stays.
    else if (Math.random === mine.random) Math.random = mine.before
  }
}

/** Throws a TypeError unless `seed` is a whole number. */
export function checkSeed(seed: number): void {
  if (!Number.isSafeInteger(seed)) throw new TypeError(`a seed is a whole number; it is ${seed}`)
}

/**
 * The `k`th number of a stream, in [0, 1): the streams of one seed do not depend on each other.
 * Mulberry32: https://github.com/bryc/code/blob/master/jshash/PRNGs.md#mulberry32
 */
export function uniform(seed: number, stream: number, k: number): number {
  let state = (seed + Math.imul(stream, 0x9e3779b1) + Math.imul(k, 0x85ebca6b)) | 0
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}
