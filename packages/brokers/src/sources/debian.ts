import { existsSync, readdirSync } from 'node:fs'
import { runCommand } from '../command.ts'
import { withLock } from '../lock.ts'
import { progress } from '../progress.ts'
import { findBinary } from './find-binary.ts'
import { withServicesForbidden } from './no-services.ts'

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
