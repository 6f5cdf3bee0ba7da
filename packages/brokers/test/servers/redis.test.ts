import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { existsSync, readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { startBroker, type RunningBroker } from '../../src/index.ts'
import { respCommand } from '../../src/net/resp.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'
import { tlsHandshake } from '../helpers/tls-handshake.ts'

const target = (broker: RunningBroker): { host: string; port: number } => ({
  host: '127.0.0.1',
  port: Number(new URL(broker.url).port),
})

describe('a Redis server', () => {
  let redis: RunningBroker

  beforeAll(async () => {
    redis = await startBroker('redis', { fresh: true })
  }, 300_000)

  afterAll(() => redis.stop())

  it('answers on loopback, with durable settings', async () => {
    expect(redis.url).toMatch(/^redis:\/\/127\.0\.0\.1:\d+$/)
    expect(redis.urls).toEqual([redis.url])
    expect(redis.owned).toBe(true)
    expect(redis.details['version']).toMatch(/^\d+\.\d+/)
    expect(await redis.run('CONFIG', 'GET', 'appendonly')).toBe('appendonly\nyes')
    expect(await redis.run('CONFIG', 'GET', 'appendfsync')).toBe('appendfsync\neverysec')
    expect(await redis.run('CONFIG', 'GET', 'maxmemory-policy')).toBe('maxmemory-policy\nnoeviction')
    expect(await redis.run('CONFIG', 'GET', 'bind')).toBe('bind\n127.0.0.1')
  })

  it('keeps its data through kill -9', async () => {
    await redis.run('SET', 'survivor', 'yes')
    const before = await redis.run('INFO', 'server')
    await redis.kill()
    await expect(tcpAnswers('127.0.0.1', target(redis).port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await redis.start()
    expect(await redis.run('GET', 'survivor')).toBe('yes')
    const processId = /process_id:(\d+)/
    expect(processId.exec(await redis.run('INFO', 'server'))?.[1]).not.toBe(processId.exec(before)?.[1])
  })

  it('accepts connections and stays silent while frozen', async () => {
    redis.freeze()
    try {
      await tcpAnswers('127.0.0.1', target(redis).port)
      const hasty = { ...target(redis), timeoutMs: 1_000 }
      await expect(respCommand(hasty, 'PING')).rejects.toThrow('did not answer')
    } finally {
      redis.thaw()
    }
    expect(await respCommand(target(redis), 'PING')).toBe('PONG')
  })

  it('can be killed while frozen', async () => {
    redis.freeze()
    await redis.restart()
    expect(await respCommand(target(redis), 'PING')).toBe('PONG')
  })

  it('does nothing on a second kill or start', async () => {
    await redis.kill()
    await redis.kill()
    const first = redis.start()
    await redis.start()
    expect(await respCommand(target(redis), 'PING')).toBe('PONG')
    await first
    await redis.start()
    expect(await respCommand(target(redis), 'PING')).toBe('PONG')
  })

  it('rejects a failing command with what the server said', async () => {
    await expect(redis.run('NO-SUCH-COMMAND')).rejects.toMatchObject({
      code: 'BROKER_COMMAND_FAILED',
      message: expect.stringContaining('unknown command'),
    })
  })

  it('refuses a node it does not have', async () => {
    await expect(redis.kill(1)).rejects.toThrow(RangeError)
  })
})

describe('a Redis server with options', () => {
  it('takes settings, and removes its data when stopped', async () => {
    const redis = await startBroker('redis', { appendfsync: 'always', extra: { maxclients: '77' } })
    const folder = (await redis.run('CONFIG', 'GET', 'dir')).split('\n')[1] ?? ''
    expect(await redis.run('CONFIG', 'GET', 'appendfsync')).toBe('appendfsync\nalways')
    expect(await redis.run('CONFIG', 'GET', 'maxclients')).toBe('maxclients\n77')
    expect(existsSync(folder)).toBe(true)
    await Promise.all([redis.stop(), redis.stop()])
    expect(existsSync(folder)).toBe(false)
    await expect(tcpAnswers('127.0.0.1', target(redis).port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('can do without persistence', async () => {
    const redis = await startBroker('redis', { persistence: false })
    try {
      await redis.run('SET', 'a', '1')
      await redis.restart()
      expect(await redis.run('EXISTS', 'a')).toBe('0')
    } finally {
      await redis.stop()
    }
  })

  it('reports a setting that the server refuses, with its log', async () => {
    await expect(startBroker('redis', { extra: { 'no-such-setting': '1' } })).rejects.toMatchObject({
      code: 'BROKER_START_FAILED',
      message: expect.stringContaining('no-such-setting'),
    })
  })

  it('has users: one for applications, one for administration', async () => {
    const redis = await startBroker('redis', { acl: true })
    try {
      const { username, password } = new URL(redis.url)
      const app = { ...target(redis), username, password }
      expect(await respCommand(app, 'ACL', 'WHOAMI')).toBe('app')
      expect(await respCommand(app, 'SET', 'a', '1')).toBe('OK')
      await expect(respCommand(app, 'FLUSHALL')).rejects.toThrow('NOPERM')
      await expect(respCommand(target(redis), 'PING')).rejects.toThrow('NOAUTH')
      await expect(respCommand({ ...app, password: 'wrong' }, 'PING')).rejects.toThrow('WRONGPASS')
      expect(await redis.run('ACL', 'WHOAMI')).toBe('admin')
    } finally {
      await redis.stop()
    }
  })
})

async function handshake(redis: RunningBroker, extra: ConnectionOptions): Promise<string> {
  const { port } = new URL(redis.details['tlsUrl'] ?? '')
  return (await tlsHandshake(Number(port), 'PING\r\n', extra)).toString()
}

const read = (file: string | undefined): Buffer => readFileSync(file ?? '')

describe('a Redis server with TLS', () => {
  it('is trusted through its authority and through no other', async () => {
    const redis = await startBroker('redis', { tls: true })
    try {
      expect(await handshake(redis, { ca: read(redis.details['caPath']) })).toBe('+PONG\r\n')
      await expect(handshake(redis, { ca: read(redis.details['otherCaPath']) })).rejects.toThrow(
        /certificate|signature/,
      )
    } finally {
      await redis.stop()
    }
  })

  it('can demand a client certificate', async () => {
    const redis = await startBroker('redis', { tls: true, clientCertificate: true })
    try {
      const ca = read(redis.details['caPath'])
      const cert = read(redis.details['clientCertPath'])
      const key = read(redis.details['clientKeyPath'])
      expect(await handshake(redis, { ca, cert, key })).toBe('+PONG\r\n')
      await expect(handshake(redis, { ca })).rejects.toThrow(/certificate required|ECONNRESET|EPIPE/)
    } finally {
      await redis.stop()
    }
  })

  it.each([
    ['expired', 'CERT_HAS_EXPIRED'],
    ['wrong-host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const)('can have a certificate that is %s', async (certificate, code) => {
    const redis = await startBroker('redis', { tls: true, certificate })
    try {
      await expect(handshake(redis, { ca: read(redis.details['caPath']) })).rejects.toMatchObject({ code })
    } finally {
      await redis.stop()
    }
  })
})
