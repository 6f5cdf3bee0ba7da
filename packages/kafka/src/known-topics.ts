import { performance } from 'node:perf_hooks'
import type { TopicInfo } from './log/protocol.ts'

/** Age at which what is known of a topic is asked for again, in ms: partitions may have been added. */
const METADATA_AGE_MS = 60_000

/** What brokers told of topics, for a while. */
export interface KnownTopics {
  readonly size: number
  get(name: string): TopicInfo | undefined
  /** `at`: when it was asked for, on the monotonic clock. */
  learn(info: TopicInfo, at: number): void
  forget(name: string): void
}

export function createKnownTopics(): KnownTopics {
  /** Those that were told of last come last. */
  const known = new Map<string, { readonly info: TopicInfo; readonly at: number }>()
  const isOld = ({ at }: { readonly at: number }): boolean => performance.now() - at >= METADATA_AGE_MS
  return {
    get size() {
      return known.size
    },
    get(name) {
      const found = known.get(name)
      return found === undefined || isOld(found) ? undefined : found.info
    },
    learn(info, at) {
      const before = known.get(info.name)
      // Answers may overtake each other: an older one knows less.
      if (before !== undefined && before.at > at) return
      known.delete(info.name)
      // Why it was not told is no state of a topic.
      if (info.error === 0) known.set(info.name, { info, at })
      // Nobody may ask for them again.
      for (const [name, each] of known) {
        if (!isOld(each)) break
        known.delete(name)
      }
    },
    forget: (name) => void known.delete(name),
  }
}
