import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { respCommand } from '../../src/net/resp.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'
import { echoServer } from '../helpers/echo-server.ts'
import { runScript, sourceFile, type Result } from '../helpers/scripts.ts'

describe('the command line', () => {
  let state: string
  const brokers = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Result> => {
    const { REDIS_URL: _url, REDIS_HOST: _host, ...env } = process.env
    return runScript([sourceFile('cli.ts'), ...args], { ...env, MQ_BROKERS_STATE: state, ...more })
  }

  beforeAll(() => {
    state = mkdtempSync(path.join(tmpdir(), 'mq-brokers-test-'))
  })

  afterAll(async () => {
    await brokers(['down'])
    rmSync(state, { recursive: true, force: true })
  })

  it('starts Redis that outlives the command, shows it, and stops it', async () => {
    const up = await brokers(['up'])
    expect(up).toMatchObject({ code: 0, err: '' })
    const [, url = '', port = ''] = /^redis (redis:\/\/127\.0\.0\.1:(\d+))$/m.exec(up.out) ?? []
    expect(up.out).toContain(`export REDIS_URL=${url}`)
    expect(await respCommand({ host: '127.0.0.1', port: Number(port) }, 'PING')).toBe('PONG')

    const again = await brokers(['up', 'redis'])
    expect(again.out).toBe(up.out)

    const other = await brokers(['up', 'redis', '--tls', '--port', '7000'])
    expect(other).toEqual({
      code: 1,
      out: '',
      err: 'redis is up with no options, and was asked for with --port 7000 --tls: run "pnpm brokers down redis" first\n',
    })

    const status = await brokers(['status'])
    expect(status.out).toMatch(new RegExp(`^redis up pid \\d+ ${url} version \\d`))

    const down = await brokers(['down', 'redis'])
    expect(down).toMatchObject({ code: 0, out: 'redis stopped\n' })
    await expect(tcpAnswers('127.0.0.1', Number(port))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect((await brokers(['status'])).out).toBe('nothing is up\n')
    expect((await brokers(['down', 'redis'])).out).toBe('redis is not up\n')
  }, 300_000)

  it('keeps the record of a container that it could not remove, and exits with 1', async () => {
    const record = path.join(state, 'up-redis.json')
    const handles = [{ kind: 'container', container: 'mq-redis-1' }]
    const entry = {
      name: 'redis',
      url: 'redis://127.0.0.1:1',
      options: {},
      details: {},
      handles,
      folders: [],
    }
    writeFileSync(record, JSON.stringify(entry))
    const down = (says: string): Promise<Result> => {
      const script = `#!/bin/sh\necho "$*: ${says}" >&2\nexit 1\n`
      writeFileSync(path.join(state, 'docker'), script, { mode: 0o755 })
      return brokers(['down'], { PATH: `${state}:${process.env['PATH'] ?? ''}` })
    }
    expect(await down('Cannot connect to the Docker daemon')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^redis: .*\n.*mq-redis-1: Cannot connect to the Docker daemon\n$/),
    })
    expect(existsSync(record)).toBe(true)
    expect(await down('No such container')).toMatchObject({ code: 0, out: 'redis stopped\n' })
    expect(existsSync(record)).toBe(false)
  })

  it("does not take somebody else's server for its own", async () => {
    const other = await echoServer()
    try {
      const result = await brokers(['up', 'redis', '--port', String(other.port)])
      expect(result).toMatchObject({ code: 1, out: '' })
      expect(result.err).toContain(`address already in use 127.0.0.1:${other.port}`)
      expect((await brokers(['status'])).out).toBe('nothing is up\n')
    } finally {
      await other.close()
    }
  }, 60_000)

  it('says what is missing and what helps, and exits with 1', async () => {
    const result = await brokers(['up', 'redis'], { PATH: state, MQ_BROKERS_SOURCES: 'environment,docker' })
    expect(result).toEqual({
      code: 1,
      out: '',
      err: 'redis: Redis is missing: run "sudo apt-get install redis-server", start Docker or set REDIS_URL\n',
    })
  })

  it('says so when the environment names a server that does not answer', async () => {
    const result = await brokers(['up', 'redis'], { REDIS_URL: 'redis://127.0.0.1:1' })
    expect(result.code).toBe(1)
    expect(result.err).toMatch(/^redis: REDIS_URL names 127\.0\.0\.1:1, which fails: .*ECONNREFUSED.*\n$/)
  })

  it.each([
    [
      'a wrong list of sources',
      { MQ_BROKERS_SOURCES: 'path,cloud' },
      /^MQ_BROKERS_SOURCES has "cloud"; it takes /,
    ],
    [
      'an address that is none',
      { REDIS_URL: 'redis://:secret@:x' },
      /^redis: REDIS_URL gives no valid URL(?!.*secret)/,
    ],
  ])('says so in one line: %s', async (_what, env, says) => {
    const { code, out, err } = await brokers(['up', 'redis'], env)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(says)
    expect(err.trimEnd()).not.toContain('\n')
  })

  it('says so in one line when Kafka cannot be downloaded', async () => {
    const program = (name: string, script: string) =>
      writeFileSync(path.join(state, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    program('java', `echo 'openjdk version "17.0.1"'`)
    program('mvn', "echo '[ERROR] Unknown host repo.maven.apache.org'; echo '[ERROR] [Help 1]'; exit 1")
    const PATH = `${state}:${process.env['PATH'] ?? ''}`
    const result = await brokers(['up', 'kafka'], { PATH, XDG_CACHE_HOME: state, MQ_BROKERS_SOURCES: 'path' })
    expect(result).toMatchObject({ code: 1, out: '' })
    expect(result.err.split('\n').at(-2)).toBe(
      'kafka: Kafka cannot be downloaded from Maven Central ([ERROR] Unknown host repo.maven.apache.org): ' +
        'connect to the network once, or set KAFKA_BOOTSTRAP_SERVERS',
    )
  })

  it('names a record that it cannot read', async () => {
    const record = path.join(state, 'up-redis.json')
    writeFileSync(record, '{')
    const { code, err } = await brokers(['status'])
    expect(code).toBe(1)
    expect(err).toMatch(/up-redis\.json cannot be read .*remove the file\n$/)
    rmSync(record)
  })

  it('shows its usage when it is asked for', async () => {
    const { code, out } = await brokers(['up', '--help'])
    expect(code).toBe(0)
    expect(out).toContain('usage: brokers up|down|status')
  })

  it('starts a server of its own when options ask for one, whatever the environment names', async () => {
    const env = { REDIS_URL: 'redis://127.0.0.1:1' }
    const up = await brokers(['up', 'redis', '--acl'], env)
    expect(up).toMatchObject({ code: 0, err: '' })
    expect(up.out).toMatch(/^redis redis:\/\/app:/)
    expect((await brokers(['up', 'redis', '--acl'], env)).out).toBe(up.out)
    expect(await brokers(['down', 'redis'])).toMatchObject({ code: 0 })
  }, 60_000)

  it.each([
    ['an unknown command', ['sideways']],
    ['an unknown broker', ['up', 'zeromq']],
    ['an unknown option', ['up', '--fast']],
    ['a port that is none', ['up', '--port', '70000']],
    ['a port for two', ['up', 'redis', 'kafka', '--port', '7000']],
    ['an option that a broker lacks', ['up', 'redis', 'kafka', '--acl']],
    ['an option that the default broker lacks', ['up', '--sasl']],
    ['an option of another command', ['down', '--tls']],
    ['nothing', []],
  ])('shows its usage for %s and exits with 2', async (_name, args) => {
    const result = await brokers(args)
    expect(result.code).toBe(2)
    expect(result.err).toContain('usage: brokers up|down|status')
  })
})
