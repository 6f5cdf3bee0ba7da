import { AdapterError } from '@mq/core/adapter'
import type { Link } from './link.ts'
import type { ResolvedOptions } from './options.ts'

/** What a server tells about itself; empty or null where the user may not ask. */
export interface ServerFacts {
  readonly version: string
  readonly runId: string
  readonly role: string
  readonly replicas: number
  readonly appendOnly: string | null
  readonly appendFsync: string | null
  readonly save: string | null
  readonly evictionPolicy: string | null
  /** After how many seconds the server closes a connection that says nothing; 0: never. */
  readonly idleTimeout: number
}

const OLDEST = 7

/** Reads the version, the role and what durability rests on, and warns loudly about settings that lose messages. */
export async function readFacts(link: Link, options: ResolvedOptions): Promise<ServerFacts> {
  const info = await link.send(['INFO']).then(
    (reply) => fields(String(reply)),
    (error: unknown) => {
      if (/^(NOPERM|ERR unknown command)/.test((error as Error).message)) return new Map<string, string>()
      throw error
    },
  )
  const config = async (name: string): Promise<string | null> => {
    const reply = await link.send(['CONFIG', 'GET', name]).catch(() => null)
    return Array.isArray(reply) && reply.length > 1 ? String(reply[1]) : null
  }
  const [appendOnly, appendFsync, save, policy, idleTimeout] = await Promise.all(
    ['appendonly', 'appendfsync', 'save', 'maxmemory-policy', 'timeout'].map(config),
  )
  const facts: ServerFacts = {
    version: info.get('redis_version') ?? '',
    runId: (info.get('run_id') ?? '').slice(0, 12),
    role: info.get('role') ?? '',
    replicas: Number(info.get('connected_slaves') ?? 0),
    appendOnly: appendOnly ?? null,
    appendFsync: appendFsync ?? null,
    save: save ?? null,
    evictionPolicy: policy ?? info.get('maxmemory_policy') ?? null,
    idleTimeout: Number(idleTimeout ?? 0),
  }
  if (facts.version !== '' && Number(facts.version.split('.')[0]) < OLDEST) {
    throw new AdapterError(
      'MQ_UNSUPPORTED',
      `Redis ${facts.version} is too old: ${OLDEST}.0 or newer is needed`,
    )
  }
  if (facts.role === 'slave' && options.sentinel === undefined) {
    throw new AdapterError(
      'MQ_UNAVAILABLE',
      'this Redis is a replica: connect to its master, or give `sentinel`',
      { retryable: true },
    )
  }
  if (facts.evictionPolicy !== null && facts.evictionPolicy !== 'noeviction') {
    options.logger.warn(
      { setting: 'maxmemory-policy', value: facts.evictionPolicy },
      'Redis may evict queues when memory is short: set maxmemory-policy to noeviction',
    )
  }
  if (facts.appendOnly === 'no') {
    options.logger.warn(
      { setting: 'appendonly', value: 'no', save: facts.save },
      facts.save === ''
        ? 'Redis persists nothing: every message is lost when it stops. Set appendonly to yes'
        : 'Redis writes snapshots only: what came after the last one is lost when it crashes. Set appendonly to yes',
    )
  }
  return facts
}

/** Keeps connections from being closed for saying nothing, where the server does that; answers what ends it. The server counts whole seconds. */
export function keepBusy({ idleTimeout }: ServerFacts, links: () => Iterable<Link>): () => void {
  if (idleTimeout <= 0) return () => undefined
  const timer = setInterval(
    () => {
      for (const link of links()) link.touch()
    },
    Math.min(30_000, idleTimeout * 300),
  )
  timer.unref()
  return () => clearInterval(timer)
}

/** For health checks: the version, and what durability rests on. What the user may not ask is left out. */
export function detailsOf(facts: ServerFacts): Readonly<Record<string, string>> {
  const known = {
    version: facts.version,
    appendonly: facts.appendOnly,
    appendfsync: facts.appendOnly === 'yes' ? facts.appendFsync : null,
    save: facts.save,
    'maxmemory-policy': facts.evictionPolicy,
    replicas: facts.role === '' ? null : String(facts.replicas),
  }
  return Object.freeze(
    Object.fromEntries(Object.entries(known).filter((entry): entry is [string, string] => Boolean(entry[1]))),
  )
}

function fields(text: string): Map<string, string> {
  const out = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) out.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return out
}
