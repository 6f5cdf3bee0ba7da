import { createHash } from 'node:crypto'
import { ACKNOWLEDGE } from './acknowledge.ts'
import { BROWSE, DECLARE, PURGE, REMOVE, SIZE } from './admin.ts'
import { LIBRARY } from './library.ts'
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

/** Every multi-step transition, each atomic on the server. Loaded on each new connection, before any traffic. */
export const scripts = {
  publish: script('publish', PUBLISH_PLAIN + LIBRARY + PUBLISH),
  take: script('take', LIBRARY + TAKE),
  acknowledge: script('acknowledge', ACKNOWLEDGE),
  settle: script('settle', LIBRARY + SETTLE),
  renew: script('renew', LIBRARY + RENEW),
  open: script('open', LIBRARY + OPEN),
  declare: script('declare', LIBRARY + DECLARE),
  remove: script('remove', LIBRARY + REMOVE),
  size: script('size', LIBRARY + SIZE),
  purge: script('purge', LIBRARY + PURGE),
  browse: script('browse', LIBRARY + BROWSE),
} as const
