import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { runCommand } from '../command.ts'
import { withLock } from '../lock.ts'
import { progress } from '../progress.ts'
import { findBinary } from './find-binary.ts'

/** True where apt-get exists and we may install. */
export function canInstallPackages(): boolean {
  return process.getuid?.() === 0 && findBinary('apt-get') !== undefined
}

/**
 * Installs Debian packages, one installation at a time on this machine. `installed` is asked again under the lock:
 * another process may have done the work meanwhile. No package may start its service.
 */
export async function installPackages(packages: readonly string[], installed: () => boolean): Promise<void> {
  await withLock('install', async () => {
    if (installed()) return
    progress(`installing ${packages.join(', ')} (apt-get)`)
    await withServicesForbidden(async () => {
      if (!haveLists()) await aptGet('update')
      try {
        await aptGet('install', ...packages)
      } catch {
        // Lists may be there and too old for the mirror.
        await aptGet('update')
        await aptGet('install', ...packages)
      }
    })
  })
}

async function aptGet(command: string, ...packages: string[]): Promise<void> {
  const options = ['-q', '-y', '-o', 'DPkg::Lock::Timeout=300']
  const install = command === 'install' ? ['--no-install-recommends'] : []
  await runCommand('apt-get', [...options, command, ...install, ...packages], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    timeoutMs: 900_000,
  })
}

function haveLists(): boolean {
  const folder = '/var/lib/apt/lists'
  return existsSync(folder) && readdirSync(folder).some((name) => name.includes('_Packages'))
}

/** Debian asks /usr/sbin/policy-rc.d before it starts a service; 101 means "forbidden". */
async function withServicesForbidden(work: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy) && forbid(policy)
  try {
    await work()
  } finally {
    if (ours) rmSync(policy, { force: true })
  }
}

function forbid(policy: string): boolean {
  try {
    writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
    return true
  } catch {
    // A system without that folder or a read-only one; RUNLEVEL=1 says the same.
    return false
  }
}
