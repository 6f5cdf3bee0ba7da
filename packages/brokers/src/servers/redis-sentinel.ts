import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Certificates, makeCertificates } from '../certificates.ts'
import { brokerError } from '../errors.ts'
import { dataFolder } from '../folders.ts'
import { choosePorts } from '../net/ports.ts'
import { respCommand, type RespTarget } from '../net/resp.ts'
import type { Guard } from '../processes/guard.ts'
import { locate, withoutDocker } from '../sources/locate.ts'
import type { Source, StartOptions } from '../types.ts'
import { waitUntil } from '../wait.ts'
import { assemble, guarded, type Launched } from './launched.ts'
import { field } from './redis-cluster.ts'
import { loginDetails, redisRequirement, redisUsers, userInfo, writeRedisConfig } from './redis-settings.ts'
import { redisCli, redisNode, redisVersion } from './redis.ts'

const sentinels = 3
const masterName = 'mq'

/**
 * A master, `replicas` (default 1) replicas, and three sentinels. Nodes: 0 the first master, then the replicas, then
 * the sentinels. `url` is the first master's; `details.sentinels` and `details.masterName` are what clients need (with
 * `tls` the sentinels speak TLS there).
 */
export async function startRedisSentinel(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  if (options.certificate === 'expired') {
    throw new RangeError('sentinels refuse their servers with an expired certificate')
  }
  const located = await locate(redisRequirement, withoutDocker(sources), options.debian)
  const servers = 1 + (options.replicas ?? 1)
  const count = servers + sentinels
  const ports = await choosePorts(2 * count, options.port, (index) => options.tls === true || index < count)
  const folder = guarded(dataFolder('redis-sentinel', options.dataDir), guard)
  const certificates = options.tls
    ? await makeCertificates(path.join(folder.path, 'tls'), options.certificate ?? 'good', sources)
    : undefined
  const tlsPort = (index: number): number => ports[count + index] ?? 0
  const home = (name: string): string => {
    const full = path.join(folder.path, name)
    mkdirSync(full, { recursive: true })
    return full
  }
  // With TLS they reach each other through it, and name those ports to clients.
  const masterPort = certificates ? tlsPort(0) : (ports[0] ?? 0)
  const data = ports.slice(0, servers).map((port, index) => {
    const target: RespTarget = { host: '127.0.0.1', port, ...(options.acl ? redisUsers.admin : {}) }
    const place = home(`node-${index}`)
    const config = writeRedisConfig({
      port,
      bind: '127.0.0.1',
      folder: place,
      tlsPort: certificates && tlsPort(index),
      certificates,
      options,
      more: {
        'repl-diskless-sync-delay': '0',
        ...(certificates ? { 'tls-replication': 'yes' } : {}),
        ...(index > 0 ? { replicaof: `127.0.0.1 ${masterPort}` } : {}),
      },
    })
    return { target, node: redisNode({ located, config, folder: place, ports: [port], target, guard }) }
  })
  const watchers = ports.slice(servers, count).map((port, index) => {
    const target: RespTarget = { host: '127.0.0.1', port }
    const place = home(`sentinel-${index}`)
    const tls = certificates && { certificates, port: tlsPort(servers + index) }
    const config = writeSentinelConfig(place, port, masterPort, options, tls)
    const parts = { located, config, folder: place, ports: [port], target, guard, sentinel: true }
    return { target, port: tls?.port ?? port, node: redisNode(parts) }
  })
  const [first] = data
  if (!first) throw new Error('there is a master')
  const urls = data.map(({ target }) => `redis://${userInfo(options)}127.0.0.1:${target.port}`)
  const details: Record<string, string> = {
    ...loginDetails(options),
    masterName,
    sentinels: watchers.map(({ port }) => `127.0.0.1:${port}`).join(','),
  }
  if (certificates) {
    const tlsUrls = data.map((_, index) => `rediss://${userInfo(options)}127.0.0.1:${tlsPort(index)}`)
    Object.assign(details, certificates, { tlsUrl: tlsUrls[0], tlsUrls: tlsUrls.join(',') })
  }
  const run = (...args: string[]): Promise<string> => {
    const running = data.find(({ node }) => node.handle() !== undefined) ?? first
    return redisCli(located, running.target, '')(...args)
  }
  return assemble({
    name: 'redis-sentinel',
    url: urls[0] ?? '',
    urls,
    details,
    nodes: [...data, ...watchers].map(({ node }) => node),
    folder,
    guard,
    run,
    firstStart: async () => {
      await Promise.all(data.map(({ node }) => node.start()))
      details['version'] = await redisVersion(first.target)
      await expectSoon('the replicas did not follow', async () => {
        const follow = data.map(async (each) => {
          const role = await field(each, 'INFO replication', 'role')
          return role === 'master' || (await field(each, 'INFO replication', 'master_link_status')) === 'up'
        })
        return (await Promise.all(follow)).every(Boolean)
      })
      // Sentinels look for replicas once when they connect, and then every ten seconds.
      await Promise.all(watchers.map(({ node }) => node.start()))
      await expectSoon('the sentinels did not find everything', async () => {
        const complete = watchers.map(({ target }) => isComplete(target, servers - 1))
        return (await Promise.all(complete)).every(Boolean)
      })
    },
  })
}

async function expectSoon(problem: string, check: () => Promise<boolean>): Promise<void> {
  if (await waitUntil(check, 60_000, 50)) return
  throw brokerError('BROKER_START_FAILED', `Redis Sentinel: ${problem}`)
}

async function isComplete(sentinel: RespTarget, replicas: number): Promise<boolean> {
  const text = await respCommand(sentinel, 'INFO', 'sentinel')
  return text.includes(`status=ok,address=`) && text.includes(`slaves=${replicas},sentinels=${sentinels}`)
}

function writeSentinelConfig(
  folder: string,
  port: number,
  masterPort: number,
  options: StartOptions,
  tls: { certificates: Certificates; port: number } | undefined,
): string {
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    'protected-mode no',
    `dir ${JSON.stringify(folder)}`,
    `sentinel monitor ${masterName} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${masterName} 1000`,
    `sentinel failover-timeout ${masterName} 5000`,
    `sentinel parallel-syncs ${masterName} 1`,
  ]
  if (tls) {
    lines.push(
      `tls-port ${tls.port}`,
      'tls-replication yes',
      `tls-ca-cert-file ${JSON.stringify(tls.certificates.caPath)}`,
      `tls-cert-file ${JSON.stringify(tls.certificates.certPath)}`,
      `tls-key-file ${JSON.stringify(tls.certificates.keyPath)}`,
      `tls-auth-clients ${options.clientCertificate ? 'yes' : 'optional'}`,
    )
  }
  if (options.acl) {
    lines.push(
      `sentinel auth-user ${masterName} ${redisUsers.admin.username}`,
      `sentinel auth-pass ${masterName} ${redisUsers.admin.password}`,
    )
  }
  const file = path.join(folder, 'sentinel.conf')
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })
  return file
}
