import type { Link } from './link.ts'

/** How often idle sockets are looked at, in ms. */
const LOOK_MS = 5_000
/** One that waits for its next use for so many looks, 10 s or a little more, is closed. */
const MOST_LOOKS = 3

/** Sockets between two waiting reads. */
export interface IdleLinks {
  readonly size: number
  /** The one that was used last. */
  take(): Link | undefined
  put(link: Link): void
  all(): Link[]
  /** Closes all of them. */
  destroy(cause: unknown): void
}

/**
 * As many receivers wait at once as have nothing to do, so how many sockets are needed changes all the time: they are kept as long as they were
 * of use lately, since opening one costs as much as hundreds of messages.
 */
export function createIdleLinks(closed: (link: Link) => void = () => undefined): IdleLinks {
  let links: { readonly link: Link; readonly since: number }[] = []
  let timer: NodeJS.Timeout | undefined
  let looks = 0

  const rest = (): void => {
    clearInterval(timer)
    timer = undefined
  }
  const tidy = (): void => {
    looks++
    while (links[0] !== undefined && looks - links[0].since >= MOST_LOOKS) {
      const { link } = links.shift() as (typeof links)[0]
      link.destroy(undefined)
      closed(link)
    }
    if (links.length === 0) rest()
  }
  return {
    get size() {
      return links.length
    },
    take() {
      for (let last = links.pop(); last !== undefined; last = links.pop()) {
        if (!last.link.dead) return last.link
        closed(last.link)
      }
      return undefined
    },
    put(link) {
      links.push({ link, since: looks })
      timer ??= setInterval(tidy, LOOK_MS).unref()
    },
    all: () => links.map(({ link }) => link),
    destroy(cause) {
      rest()
      for (const { link } of links) link.destroy(cause)
      links = []
    },
  }
}
