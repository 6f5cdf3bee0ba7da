import { hashTag } from './keys.ts'

/** Hash tags whose last number is remembered. */
const MOST_TAGS = 10_000

/** Who publishes over one connection. Its calls run in order, and each has a number. */
export interface Caller {
  readonly name: string
  /** For a call that goes to this key. For keys of one hash tag the numbers follow each other: where one is missing, the server refused its call. */
  next(key: string): number
}

export function createCaller(name: string, mostTags = MOST_TAGS): Caller {
  const last = new Map<string, number>()
  let highest = 0
  let start = 0
  return {
    name,
    next(key) {
      const tag = hashTag(key)
      const number = (last.get(tag) ?? start) + 1
      if (number > highest) highest = number
      if (last.size >= mostTags && !last.has(tag)) {
        // Forgotten ones go on above what they have had: to the server that is a gap of calls that did not run, which is true.
        last.clear()
        start = highest
      }
      last.set(tag, number)
      return number
    },
  }
}
