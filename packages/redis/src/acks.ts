import { type Confirm, createConfirm } from './confirm.ts'
import { replyCode } from './errors.ts'
import type { Link } from './link.ts'
import type { ResolvedOptions } from './options.ts'

/** How often a server that had no replica is looked at again, in ms: after a fail-over the old master comes back as one. */
const LOOK_MS = 3_000

/** Who confirms what one server has stored (acks: all). */
export interface Acks {
  /** `null` while the server has no replica, and where nobody waits for one. */
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

/** Begins to confirm as soon as the server has a replica. Rejects when it has one that cannot be asked. */
export async function createAcks({ options, server, open }: AcksSetup): Promise<Acks> {
  let confirm: Confirm | null = null
  let link: Link | null = null
  let over = options.acks !== 'all'
  let told = false
  let looking = false
  let timer: NodeJS.Timeout | undefined

  const stop = (): void => {
    over = true
    clearInterval(timer)
  }
  const tell = (): void => {
    if (told) return
    told = true
    const { host, port } = server.address
    // Of a server by itself nobody expects one.
    const level = options.sentinel === undefined && options.cluster === undefined ? 'info' : 'warn'
    options.logger[level](
      { setting: 'acks', value: 'all', host, port },
      'Redis has no replica: nothing but the server itself confirms what is sent, until there is one',
    )
  }
  const look = async (): Promise<void> => {
    const replicas = await replicasOf(server)
    if (over || replicas === null) return
    if (replicas === 0) return tell()
    const opened = await open()
    if (isOver()) return opened.destroy(undefined)
    link = opened
    confirm = createConfirm(opened, options)
    clearInterval(timer)
  }
  const isOver = (): boolean => over
  const again = (): void => {
    if (looking) return
    looking = true
    look()
      .catch(() => undefined)
      .finally(() => (looking = false))
  }

  if (!over) {
    await look()
    if (link === null) timer = setInterval(again, LOOK_MS).unref()
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

/** `null`: the user may not ask. */
async function replicasOf(server: Link): Promise<number | null> {
  try {
    const info = String(await server.send(['INFO', 'replication']))
    return Number(/connected_slaves:(\d+)/.exec(info)?.[1] ?? 0)
  } catch (error) {
    if (replyCode(error) === 'NOPERM' || /unknown command/.test(String(error))) return null
    throw error
  }
}
