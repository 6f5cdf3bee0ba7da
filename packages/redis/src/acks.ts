import { type Confirm, createConfirm } from './confirm.ts'
import { replyCode } from './errors.ts'
import type { Link } from './link.ts'
import type { ResolvedOptions } from './options.ts'

/** How often a server that had no replica is looked at again, in ms: after a fail-over the old master comes back as one. */
const LOOK_MS = 3_000

/** Who confirms what one server has stored (acks: all). */
export interface Acks {
  /** `null` while the server has no replica that could answer, and where nobody waits for one. */
  readonly confirm: Confirm | null
  /** The socket of that. */
  readonly link: Link | null
  stop(): void
}

export interface AcksSetup {
  readonly options: ResolvedOptions
  readonly server: Link
  /** Opens a socket to the same server. */
  open(): Promise<Link>
}

/**
 * Begins to confirm as soon as the server has a replica, and stops when the last one is gone: what no replica confirmed is told so once
 * it is known whether there is one, so that sending it again goes by that. Rejects when a replica that is there at first cannot be asked.
 */
export async function createAcks({ options, server, open }: AcksSetup): Promise<Acks> {
  let confirm: Confirm | null = null
  let link: Link | null = null
  let over = options.acks !== 'all'
  let told = false
  let looking: Promise<void> | null = null
  let timer: NodeJS.Timeout | undefined

  const stop = (): void => {
    over = true
    clearInterval(timer)
  }
  const tell = (): void => {
    if (told) return
    told = true
    const { host, port } = server.address
    // Of a server by itself nobody expects one, unless it had one before.
    const alone = options.sentinel === undefined && options.cluster === undefined && link === null
    const level = alone ? 'info' : 'warn'
    options.logger[level](
      { setting: 'acks', value: 'all', host, port },
      'Redis has no replica: nothing but the server itself confirms what is sent, until there is one',
    )
  }
  const look = async (): Promise<void> => {
    const replicas = await replicasOf(server)
    if (over || replicas === null) return
    if (replicas === 0) {
      confirm = null
      return tell()
    }
    if (link === null) {
      const opened = await open()
      if (isOver()) return opened.destroy(undefined)
      link = opened
    }
    told = false
    confirm ??= createConfirm(link, options, again)
  }
  const isOver = (): boolean => over
  const again = async (): Promise<void> => {
    looking ??= look()
      .catch(() => undefined)
      .finally(() => {
        looking = null
        watch()
      })
    return looking
  }
  const watch = (): void => {
    clearInterval(timer)
    if (!over && confirm === null) timer = setInterval(() => void again(), LOOK_MS).unref()
  }

  if (!over) {
    await look()
    watch()
  }
  return {
    get confirm() {
      return confirm
    },
    get link() {
      return link
    },
    stop,
  }
}

/** How many can confirm: not one that is still being given what the server has. `null`: the user may not ask. */
async function replicasOf(server: Link): Promise<number | null> {
  try {
    const info = String(await server.send(['INFO', 'replication']))
    return info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0
  } catch (error) {
    if (replyCode(error) === 'NOPERM' || /unknown command/.test(String(error))) return null
    throw error
  }
}
