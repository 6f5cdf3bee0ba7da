import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { runCommand } from './command.ts'
import { brokerError, messageOf } from './errors.ts'
import { cacheFolder } from './folders.ts'
import { withLock } from './lock.ts'
import { progress } from './progress.ts'
import { canInstallPackages, installPackages } from './sources/debian.ts'
import { findBinary } from './sources/find-binary.ts'

const usualMirror = 'http://deb.debian.org/debian'

/** Programs of another Debian release, to be run on this machine. */
export interface DebianRoot {
  /** The folder that holds the release; not to be written to. */
  readonly folder: string
  /**
   * A script that runs the release's program, looked for in `folders` (e.g. `/usr/bin`); `undefined` when it is not
   * there. It takes the program's arguments, environment and working folder, and is replaced by the program: signals
   * and process ids are the program's own. The program sees the release's files, the machine's temporary folder
   * under its own path, and the machine's network.
   */
  tool(name: string, folders: readonly string[]): string | undefined
}

/**
 * Packages of a Debian release (e.g. `trixie`) in a folder made by debootstrap: about 230 MB and half a minute, once
 * for each set of packages; afterwards it comes from `$XDG_CACHE_HOME/mq-brokers`. Needs Linux, root and the right to
 * mount; debootstrap is installed when apt-get is there. The mirror is the one that apt-get uses here, or
 * `MQ_DEBIAN_MIRROR`. Rejects with BROKER_MISSING and one line that says what helps.
 */
export async function debianRoot(release: string, packages: readonly string[]): Promise<DebianRoot> {
  packages = [...packages].sort()
  await checkRights(release, packages)
  const folder = path.join(cacheFolder(), [release, process.arch, ...packages].join('-'))
  await withLock(`debian-${path.basename(folder)}`, async () => {
    if (!existsSync(folder)) await build(release, packages, folder)
  })
  // Debian leaves the file to an installer.
  writeFileSync(path.join(folder, 'etc/hosts'), `127.0.0.1 localhost ${hostname()}\n::1 localhost\n`)
  return { folder, tool: (name, folders) => wrapper(folder, name, folders) }
}

async function checkRights(release: string, packages: readonly string[]): Promise<void> {
  const what = `${packages.join(', ')} of Debian ${release}`
  const missing = (why: string): Error => brokerError('BROKER_MISSING', `${what}: ${why}`)
  if (process.platform !== 'linux') throw missing('needs Linux, with debootstrap')
  if (process.getuid?.() !== 0) throw missing('needs root (debootstrap and chroot): run it with sudo')
  try {
    await runCommand('unshare', ['--mount', 'true'])
  } catch {
    throw missing('needs the right to mount: run the container with --privileged, or with CAP_SYS_ADMIN')
  }
  const present = (): boolean => findBinary('debootstrap') !== undefined
  if (present()) return
  let why = ''
  if (canInstallPackages()) {
    try {
      await installPackages(['debootstrap', 'debian-archive-keyring'], present)
    } catch (error) {
      why = ` (apt-get failed: ${messageOf(error).split('\n').at(-1) ?? ''})`
    }
  }
  if (!present())
    throw missing(
      `debootstrap is missing${why}: run "sudo apt-get install debootstrap debian-archive-keyring"`,
    )
}

/** Whatever happens, the folder exists only when it is complete. */
async function build(release: string, packages: readonly string[], folder: string): Promise<void> {
  progress(`making ${folder} (debootstrap)`)
  const partial = mkdtempSync(`${folder}.partial-`)
  chmodSync(partial, 0o755)
  const debootstrap = findBinary('debootstrap') ?? 'debootstrap'
  const options = ['--variant=minbase', `--include=${packages.join(',')}`]
  try {
    // What it mounts inside lies in a mount namespace of its own: removing the folder cannot reach through it.
    await runCommand(
      'unshare',
      ['--mount', '--propagation', 'private', debootstrap, ...options, release, partial, await mirror()],
      { timeoutMs: 900_000 },
    )
    rmSync(path.join(partial, 'var/cache/apt/archives'), { recursive: true, force: true })
    renameSync(partial, folder)
  } catch (error) {
    rmSync(partial, { recursive: true, force: true })
    const last = messageOf(error).trim().split('\n').at(-1) ?? ''
    throw brokerError('BROKER_MISSING', `debootstrap ${release} ${packages.join(' ')} failed: ${last}`, error)
  }
}

async function mirror(): Promise<string> {
  const named = process.env['MQ_DEBIAN_MIRROR']
  if (named) return named
  const listing = ['indextargets', '--format', '$(ORIGIN) $(REPO_URI)', 'Identifier: Packages']
  const targets = await runCommand('apt-get', listing).catch(() => '')
  const uris = targets.split('\n').flatMap((line) => /^Debian (https?:\S+)$/.exec(line)?.[1] ?? [])
  return uris.find((uri) => !uri.includes('security')) ?? usualMirror
}

function wrapper(root: string, name: string, folders: readonly string[]): string | undefined {
  // Not followed: a link inside may be absolute, and mean something else out here.
  const inside = folders
    .map((folder) => path.join(folder, name))
    .find((file) => lstatSync(path.join(root, file), { throwIfNoEntry: false }) !== undefined)
  if (inside === undefined) return undefined
  const place = `${root}.tools`
  mkdirSync(place, { recursive: true })
  const file = path.join(place, name)
  const text = script(root, inside)
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    // Another process may be about to run it.
    const fresh = `${file}.${process.pid}`
    writeFileSync(fresh, text, { mode: 0o755 })
    renameSync(fresh, file)
  }
  return file
}

/** Mounts are made in a namespace that ends with the program, by whatever death. */
function script(root: string, program: string): string {
  const temporary = tmpdir()
  return `#!/bin/sh
exec unshare --mount --propagation private /bin/sh -e -c '
  root=$1 temporary=$2 program=$3
  shift 3
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mkdir -p "$root$temporary"
  mount --rbind "$temporary" "$root$temporary"
  case $PWD/ in
    "$temporary"/*) ;;
    *) mkdir -p "$root$PWD"; mount --rbind "$PWD" "$root$PWD" ;;
  esac
  exec chroot "$root" /usr/bin/env -C "$PWD" "$program" "$@"
' sh ${quoted(root)} ${quoted(temporary)} ${quoted(program)} "$@"
`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
