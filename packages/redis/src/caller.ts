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

/** Who makes one call. */
export interface Turn {
  readonly name: string
  readonly number: number
  /** Its answer has come: another call for a key of this hash tag may be the next of this name. */
  done(): void
}

/**
 * For calls whose order is not given: a name for each, which no other has while it runs. As the server keeps a mark for each name, there are no
 * more of them than calls at once. A turn that is never done leaves its name to its call.
 */
export function createTurns(name: string, mostTags = MOST_TAGS): { take(key: string): Turn } {
  const free = new Map<string, Omit<Turn, 'done'>[]>()
  let names = 0
  return {
    take(key) {
      const tag = hashTag(key)
      const next = free.get(tag)?.pop() ?? { name: `${name}.${++names}`, number: 1 }
      return {
        ...next,
        done() {
          const others = free.get(tag)
          if (others === undefined && free.size >= mostTags) free.clear()
          const left = { name: next.name, number: next.number + 1 }
          if (others === undefined) free.set(tag, [left])
          else others.push(left)
        },
      }
    },
  }
}
