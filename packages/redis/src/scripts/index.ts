import { createHash } from 'node:crypto'
import { ACKNOWLEDGE } from './acknowledge.ts'
import { BROWSE, DECLARE, PURGE, REMOVE, SIZE } from './admin.ts'
import { LEASES } from './leases.ts'
import { LIBRARY } from './library.ts'
import { LIMITS } from './limits.ts'
import { OPEN } from './open.ts'
import { PUBLISH, PUBLISH_PLAIN } from './publish.ts'
import { RENEW } from './renew.ts'
import { SETTLE } from './settle.ts'
import { TAKE } from './take.ts'

export interface Script {
  readonly name: string
  readonly source: string
  readonly sha: string
}

function script(name: string, source: string): Script {
  return { name, source, sha: createHash('sha1').update(source).digest('hex') }
}

const shared = LIBRARY + LIMITS + LEASES

/** Every multi-step transition, each atomic on the server. Loaded on each new connection, before any traffic. */
export const scripts = {
  publish: script('publish', PUBLISH_PLAIN + shared + PUBLISH),
  take: script('take', shared + TAKE),
  acknowledge: script('acknowledge', ACKNOWLEDGE),
  settle: script('settle', shared + SETTLE),
  renew: script('renew', shared + RENEW),
  open: script('open', shared + OPEN),
  declare: script('declare', shared + DECLARE),
  remove: script('remove', shared + REMOVE),
  size: script('size', shared + SIZE),
  purge: script('purge', shared + PURGE),
  browse: script('browse', shared + BROWSE),
} as const
