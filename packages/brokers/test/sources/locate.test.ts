import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { locate, type Requirement } from '../../src/sources/locate.ts'

const before = { ...process.env }

describe('looking for a server', () => {
  let folder: string
  let need: Requirement<'mq-tool'>

  /** A program on the PATH; the shell it runs in has the machine's own PATH. */
  function program(name: string, text: string): string {
    const file = path.join(folder, name)
    writeFileSync(file, `#!/bin/sh\nPATH=/usr/bin:/bin\n${text}\n`)
    chmodSync(file, 0o755)
    return file
  }

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'mq-locate-test-'))
    process.env['PATH'] = folder
    process.env['MQ_BROKERS_STATE'] = folder
    need = {
      label: 'The tool',
      tools: ['mq-tool'],
      folders: [],
      debianPackages: ['mq-package'],
      dockerImage: 'mq-image:1',
      variable: 'MQ_URL',
    }
  })

  afterEach(() => {
    jest.restoreAllMocks()
    process.env = { ...before }
    rmSync(folder, { recursive: true, force: true })
  })

  function asUser(uid: number): void {
    jest.spyOn(process as Required<NodeJS.Process>, 'getuid').mockReturnValue(uid)
  }

  it('takes what is on the PATH', async () => {
    const tool = program('mq-tool', '')
    expect(await locate(need, ['path'])).toEqual({ kind: 'native', tools: { 'mq-tool': tool } })
  })

  it('prefers the folder that comes before the PATH', async () => {
    program('mq-tool', '')
    expect(
      await locate({ ...need, tools: ['mq-tool'], foldersBefore: ['/nowhere'] }, ['path']),
    ).toMatchObject({
      tools: { 'mq-tool': path.join(folder, 'mq-tool') },
    })
    const inner = mkdtempSync(path.join(folder, 'before-'))
    writeFileSync(path.join(inner, 'mq-tool'), '', { mode: 0o755 })
    expect(await locate({ ...need, foldersBefore: [inner] }, ['path'])).toMatchObject({
      tools: { 'mq-tool': path.join(inner, 'mq-tool') },
    })
  })

  it('does not take a file that cannot be run', async () => {
    writeFileSync(path.join(folder, 'mq-tool'), '', { mode: 0o644 })
    await expect(locate(need, ['path'])).rejects.toMatchObject({ code: 'BROKER_MISSING' })
  })

  it('installs the package when it may, once for everybody who asks', async () => {
    asUser(0)
    const tool = path.join(folder, 'mq-tool')
    program(
      'apt-get',
      `echo "$*" >> ${folder}/calls
       case "$*" in *install*) echo '#!/bin/sh' > ${tool}; chmod 755 ${tool} ;; esac`,
    )
    const found = await Promise.all([locate(need, ['path', 'debian']), locate(need, ['path', 'debian'])])
    expect(found).toEqual([
      { kind: 'native', tools: { 'mq-tool': tool } },
      { kind: 'native', tools: { 'mq-tool': tool } },
    ])
    const calls = readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n')
    const installs = calls.filter((line) => line.includes('install'))
    expect(installs).toHaveLength(1)
    expect(installs[0]).toMatch(/-y .*install --no-install-recommends mq-package$/)
  })

  it('reads the lists again when the installation fails, and says why it failed', async () => {
    asUser(0)
    program('apt-get', `echo "$*" >> ${folder}/calls; echo 'E: no such thing' >&2; exit 100`)
    await expect(locate(need, ['path', 'debian'])).rejects.toMatchObject({
      code: 'BROKER_MISSING',
      message:
        'The tool is missing (apt-get failed: E: no such thing): ' +
        'run "sudo apt-get install mq-package", start Docker or set MQ_URL',
    })
    expect(readFileSync(path.join(folder, 'calls'), 'utf8')).toContain('update')
  })

  it('installs nothing for a user who is not root', async () => {
    asUser(1000)
    program('apt-get', `echo "$*" >> ${folder}/calls`)
    await expect(locate(need, ['path', 'debian'])).rejects.toThrow('run "sudo apt-get install mq-package"')
    expect(existsSync(path.join(folder, 'calls'))).toBe(false)
  })

  it('takes Docker only when its engine answers', async () => {
    program('docker', 'exit 1')
    await expect(locate(need, ['docker'])).rejects.toMatchObject({ code: 'BROKER_MISSING' })
    const docker = program('docker', 'echo 99.0')
    expect(await locate(need, ['docker'])).toEqual({ kind: 'docker', docker, image: 'mq-image:1' })
  })
})
