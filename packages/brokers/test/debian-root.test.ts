import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { debianRoot } from '../src/debian-root.ts'

const before = { ...process.env }

describe('the root folder of another Debian release', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'mq-debian-test-'))
    process.env = {
      PATH: folder,
      XDG_CACHE_HOME: folder,
      MQ_BROKERS_STATE: folder,
      MQ_DEBIAN_MIRROR: 'http://mirror/',
    }
    jest.spyOn(process as Required<NodeJS.Process>, 'getuid').mockReturnValue(0)
  })

  afterEach(() => {
    jest.restoreAllMocks()
    process.env = { ...before }
    rmSync(folder, { recursive: true, force: true })
  })

  /** A program on the PATH, whose shell has the machine's own PATH. */
  function program(name: string, text: string): void {
    writeFileSync(path.join(folder, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${text}\n`, { mode: 0o755 })
  }

  /** Stand-ins: `unshare` runs what follows its options, `debootstrap` makes a folder with one program. */
  function standIns(debootstrap: string): void {
    program(
      'unshare',
      `while [ $# -gt 0 ]; do case $1 in --propagation) shift 2;; --*) shift;; *) break;; esac; done; exec "$@"`,
    )
    program('debootstrap', `echo "$*" >> ${folder}/calls\n${debootstrap}`)
  }

  const working = 'mkdir -p "$4/etc" "$4/usr/bin"; echo x > "$4/usr/bin/mq-tool"'

  it('says that it needs root', async () => {
    jest.spyOn(process as Required<NodeJS.Process>, 'getuid').mockReturnValue(1000)
    await expect(debianRoot('trixie', ['redis-server'])).rejects.toMatchObject({
      code: 'BROKER_MISSING',
      message: 'redis-server of Debian trixie: needs root (debootstrap and chroot): run it with sudo',
    })
  })

  it('says that it may not mount', async () => {
    program('unshare', 'exit 1')
    await expect(debianRoot('trixie', ['a'])).rejects.toMatchObject({
      message:
        'a of Debian trixie: needs the right to mount: run the container with --privileged, or with CAP_SYS_ADMIN',
    })
  })

  it('says what to install when there is no apt-get to do it', async () => {
    program('unshare', 'exit 0')
    await expect(debianRoot('trixie', ['a'])).rejects.toMatchObject({
      message:
        'a of Debian trixie: debootstrap is missing: run "sudo apt-get install debootstrap debian-archive-keyring"',
    })
  })

  it('is made once, by however many ask for it', async () => {
    standIns(working)
    const [first, second] = await Promise.all([
      debianRoot('trixie', ['b', 'a']),
      debianRoot('trixie', ['a', 'b']),
    ])
    expect(second.folder).toBe(first.folder)
    const calls = readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n')
    expect(calls).toEqual([
      expect.stringMatching(/^--variant=minbase --include=a,b trixie .*partial-\S+ http:\/\/mirror\/$/),
    ])
  })

  it('is not there when its making failed, and says why', async () => {
    standIns('mkdir -p "$4/etc"; echo "E: no such package" >&2; exit 1')
    await expect(debianRoot('trixie', ['a'])).rejects.toMatchObject({
      code: 'BROKER_MISSING',
      message: 'debootstrap trixie a failed: E: no such package',
    })
    expect(readdirSync(path.join(folder, 'mq-brokers'))).toEqual([])
  })

  it('finds programs inside, and gives a script for each', async () => {
    standIns(working)
    const root = await debianRoot('trixie', ['a'])
    expect(root.tool('mq-tool', ['/nowhere', '/usr/bin'])).toBe(`${root.folder}.tools/mq-tool`)
    expect(root.tool('absent', ['/usr/bin'])).toBeUndefined()
  })
})
