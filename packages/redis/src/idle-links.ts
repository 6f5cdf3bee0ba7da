import type { Link } from './link.ts'

/** How long a socket may wait for its next use, in ms, before it is closed. */
const MOST_IDLE = 10_000

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

  const rest = (): void => {
    clearInterval(timer)
    timer = undefined
  }
  const tidy = (): void => {
    const since = performance.now() - MOST_IDLE
    while (links[0] !== undefined && links[0].since <= since) {
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
      links.push({ link, since: performance.now() })
      timer ??= setInterval(tidy, MOST_IDLE / 2).unref()
    },
    all: () => links.map(({ link }) => link),
    destroy(cause) {
      rest()
      for (const { link } of links) link.destroy(cause)
      links = []
    },
  }
}
