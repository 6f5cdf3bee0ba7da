/** How often each was asked. */
const asked = new WeakMap<object, number>()

/**
 * Those that can be asked for the same, each time beginning with another one: who is cut off from the others goes on answering what was true before. `among`:
 * what stays the same from one time to the next.
 */
export function rotated<T>(among: object, all: readonly T[]): T[] {
  const first = asked.get(among) ?? 0
  asked.set(among, first + 1)
  return all.map((_, i) => all[(first + i) % all.length] as T)
}
