import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { makeCertificates } from '../certificates.ts'
import { brokerError } from '../errors.ts'
import { dataFolder } from '../folders.ts'
import { choosePorts } from '../net/ports.ts'
import { respCommand, type RespTarget } from '../net/resp.ts'
import type { Guard } from '../processes/guard.ts'
import { locate, withoutDocker } from '../sources/locate.ts'
import type { Source, StartOptions } from '../types.ts'
import { waitUntil } from '../wait.ts'
import { assemble, guarded, type Launched } from './launched.ts'
import { loginDetails, redisRequirement, redisUsers, userInfo, writeRedisConfig } from './redis-settings.ts'
import { redisCli, redisNode, redisVersion } from './redis.ts'

const masters = 3
const slots = 16_384

/** Three masters with `replicas` (default 1) replicas each. Nodes 0 to 2 are the first masters. */
export async function startRedisCluster(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  if (options.certificate === 'expired') {
    throw new RangeError('the nodes of a Redis cluster refuse each other with an expired certificate')
  }
  const located = await locate(redisRequirement, withoutDocker(sources), options.debian)
  const count = masters * (1 + (options.replicas ?? 1))
  const ports = await choosePorts(
    3 * count,
    options.port,
    (index) => options.tls === true || index < 2 * count,
  )
  const folder = guarded(dataFolder('redis-cluster', options.dataDir), guard)
  const certificates = options.tls
    ? await makeCertificates(path.join(folder.path, 'tls'), options.certificate ?? 'good', sources)
    : undefined
  const members = Array.from({ length: count }, (_, index) => {
    const port = ports[index] ?? 0
    const busPort = ports[count + index] ?? 0
    const tlsPort = certificates && (ports[2 * count + index] ?? 0)
    const home = path.join(folder.path, `node-${index}`)
    mkdirSync(home, { recursive: true })
    const target: RespTarget = { host: '127.0.0.1', port, ...(options.acl ? redisUsers.admin : {}) }
    const config = writeRedisConfig({
      port,
      bind: '127.0.0.1',
      folder: home,
      tlsPort,
      certificates,
      options,
      more: {
        'cluster-enabled': 'yes',
        'cluster-port': String(busPort),
        'cluster-config-file': 'nodes.conf',
        'cluster-node-timeout': '2000',
        'repl-diskless-sync-delay': '0',
        // Only then are TLS clients told the TLS ports of the other nodes.
        ...(certificates ? { 'tls-cluster': 'yes', 'tls-replication': 'yes' } : {}),
      },
    })
    const node = redisNode({ located, config, folder: home, ports: [port], target, guard })
    return { port, busPort, tlsPort, target, node }
  })
  const first = members[0]
  if (!first) throw new Error('a cluster has nodes')
  const info = userInfo(options)
  const urls = members.map(({ port }) => `redis://${info}127.0.0.1:${port}`)
  const details = loginDetails(options)
  if (certificates) {
    const tlsUrls = members.map(({ tlsPort }) => `rediss://${info}127.0.0.1:${tlsPort ?? 0}`)
    Object.assign(details, certificates, { tlsUrl: tlsUrls[0], tlsUrls: tlsUrls.join(',') })
  }
  const run = (...args: string[]): Promise<string> => {
    const running = members.find(({ node }) => node.handle() !== undefined) ?? first
    return redisCli(located, running.target, '')(...args)
  }
  return assemble(
    {
      name: 'redis-cluster',
      url: urls[0] ?? '',
      urls,
      details,
      nodes: members.map(({ node }) => node),
      folder,
      guard,
      run,
    },
    async () => {
      details['version'] = await redisVersion(first.target)
      await form(members)
    },
  )
}

interface Member {
  busPort: number
  target: RespTarget
}

/** What `redis-cli --cluster create` does, without its pauses. A data folder that was a cluster before stays one. */
async function form(members: readonly Member[]): Promise<void> {
  const [first] = members
  if (!first) return
  if (Number(await field(first, 'CLUSTER INFO', 'cluster_known_nodes')) === 1) {
    await Promise.all(
      members.map(async ({ target }, index) => {
        // Different epochs from the start: no collisions to sort out later.
        await respCommand(target, 'CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
        if (index < masters) await respCommand(target, 'CLUSTER', 'ADDSLOTS', ...slotsOf(index))
      }),
    )
    for (const { target, busPort } of members.slice(1)) {
      await respCommand(first.target, 'CLUSTER', 'MEET', target.host, String(target.port), String(busPort))
    }
    await all(members, 'did not meet', async (member) => {
      const known = await field(member, 'CLUSTER INFO', 'cluster_known_nodes')
      return Number(known) === members.length
    })
    const ids = await Promise.all(
      members.slice(0, masters).map(({ target }) => respCommand(target, 'CLUSTER', 'MYID')),
    )
    await Promise.all(
      members.slice(masters).map(({ target }, index) => {
        return respCommand(target, 'CLUSTER', 'REPLICATE', ids[index % masters] ?? '')
      }),
    )
  }
  await all(members, 'did not become ready', async (member) => {
    if ((await field(member, 'CLUSTER INFO', 'cluster_state')) !== 'ok') return false
    // Slower than the rest: that everybody knows who follows whom.
    const view = await respCommand(member.target, 'CLUSTER', 'NODES')
    if (view.split('slave ').length - 1 !== members.length - masters) return false
    const role = await field(member, 'INFO replication', 'role')
    return role === 'master' || (await field(member, 'INFO replication', 'master_link_status')) === 'up'
  })
}

async function all(
  members: readonly Member[],
  problem: string,
  check: (member: Member) => Promise<boolean>,
): Promise<void> {
  const done = await waitUntil(async () => (await Promise.all(members.map(check))).every(Boolean), 60_000, 50)
  if (!done) throw brokerError('BROKER_START_FAILED', `the nodes of the Redis cluster ${problem}`)
}

/** One line of INFO or CLUSTER INFO. */
export async function field(member: { target: RespTarget }, command: string, name: string): Promise<string> {
  const text = await respCommand(member.target, ...command.split(' '))
  const line = text.split('\r\n').find((each) => each.startsWith(`${name}:`))
  return line?.slice(name.length + 1) ?? ''
}

function slotsOf(master: number): string[] {
  const from = Math.round((master * slots) / masters)
  const to = Math.round(((master + 1) * slots) / masters)
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}
