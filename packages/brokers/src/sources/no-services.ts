import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createGuard } from '../processes/guard.ts'

/** A file with this line is ours, also one that a crash of the whole machine left behind. */
const marker = '# of @mq/brokers, while it installs a package'

/**
 * Debian asks /usr/sbin/policy-rc.d before it starts a service; 101 means "forbidden". Left behind, it would forbid every service of the
 * machine from then on: it goes with this process, however that ends. One of somebody else's stays as it is.
 */
export async function withServicesForbidden(
  work: () => Promise<void>,
  policy = '/usr/sbin/policy-rc.d',
): Promise<void> {
  const guard = createGuard()
  const ours = isOurs(policy) || !existsSync(policy)
  if (ours) {
    guard.watchFolder(policy)
    forbid(policy)
  }
  try {
    await work()
  } finally {
    if (ours) rmSync(policy, { force: true })
    guard.forgetFolder(policy)
  }
}

function isOurs(policy: string): boolean {
  try {
    return readFileSync(policy, 'utf8').includes(marker)
  } catch {
    return false
  }
}

function forbid(policy: string): void {
  try {
    writeFileSync(policy, `#!/bin/sh\n${marker}\nexit 101\n`, { mode: 0o755 })
  } catch {
    // A system without that folder or a read-only one; RUNLEVEL=1 says the same.
  }
}
