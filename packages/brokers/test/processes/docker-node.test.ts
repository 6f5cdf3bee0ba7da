import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { requireBrokers, startBroker } from '../../src/index.ts'
import { respCommand } from '../../src/net/resp.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'

const before = { ...process.env }

/** No engine here: a script takes the calls and runs the command as a process. */
describe('a server from Docker', () => {
  let folder: string
  const calls = (): string => readFileSync(path.join(folder, 'calls'), 'utf8')

  beforeEach(async () => {
    await requireBrokers(['redis'])
    folder = mkdtempSync(path.join(tmpdir(), 'mq-docker-test-'))
    const docker = path.join(folder, 'docker')
    copyFileSync(new URL('../helpers/fake-docker.sh', import.meta.url), docker)
    chmodSync(docker, 0o755)
    process.env['FAKE_DOCKER'] = folder
    process.env['PATH'] = `${folder}:${process.env['PATH'] ?? ''}`
  }, 300_000)

  afterEach(() => {
    process.env = { ...before }
    rmSync(folder, { recursive: true, force: true })
  })

  it('is started, killed, frozen, asked and removed through the docker program', async () => {
    const redis = await startBroker('redis', { sources: ['docker'] })
    const port = Number(new URL(redis.url).port)
    const target = { host: '127.0.0.1', port }
    try {
      expect(calls()).toMatch(
        new RegExp(`run --detach --name mq-redis-${port} --publish 127.0.0.1:${port}:${port} `),
      )
      expect(await redis.run('SET', 'survivor', 'yes')).toBe('OK')
      await redis.kill()
      await expect(tcpAnswers('127.0.0.1', port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      await redis.start()
      expect(await respCommand(target, 'GET', 'survivor')).toBe('yes')
      redis.freeze()
      await expect(respCommand({ ...target, timeoutMs: 1_000 }, 'PING')).rejects.toThrow('did not answer')
      redis.thaw()
      expect(await respCommand(target, 'PING')).toBe('PONG')
    } finally {
      await redis.stop()
    }
    await expect(tcpAnswers('127.0.0.1', port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(calls()).toContain(`rm --force --volumes mq-redis-${port}`)
    expect(readdirSync(folder).filter((name) => name.endsWith('.pid'))).toEqual([])
  }, 120_000)
})
