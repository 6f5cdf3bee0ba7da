import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { startBroker, type RunningBroker } from '../src/index.ts'

describe('a server of another Debian release', () => {
  let broker: RunningBroker

  beforeAll(async () => {
    broker = await startBroker('redis', { debian: 'trixie' })
  }, 900_000)

  afterAll(() => broker.stop())

  it('is that release’s', async () => {
    expect(broker.details['version']).toMatch(/^8\./)
    expect(await broker.run('INFO', 'server')).toContain('redis_version:8.')
  })

  it('is frozen, thawed, killed and restarted with its data like any other', async () => {
    await broker.run('SET', 'kept', 'yes')
    await broker.run('CONFIG', 'SET', 'appendfsync', 'always')
    await broker.run('SET', 'kept', 'still')
    const pid = await serverPid(broker)
    // The process that is signalled is the server itself.
    expect(readlinkSync(`/proc/${pid}/exe`)).toContain('redis-check-rdb')
    broker.freeze()
    broker.thaw()
    await broker.restart()
    expect(await serverPid(broker)).not.toBe(pid)
    expect(await broker.run('GET', 'kept')).toBe('still')
  })

  it('starts with a data folder outside of the temporary one', async () => {
    const folder = mkdtempSync('/var/tmp/mq-debian-root-')
    const elsewhere = await startBroker('redis', { debian: 'trixie', dataDir: folder })
    try {
      expect(await elsewhere.run('CONFIG', 'GET', 'dir')).toContain(folder)
    } finally {
      await elsewhere.stop()
      rmSync(folder, { recursive: true })
    }
  })
})

async function serverPid(broker: RunningBroker): Promise<string> {
  return /process_id:(\d+)/.exec(await broker.run('INFO', 'server'))?.[1] ?? ''
}
