import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { makeCertificates } from '../certificates.ts'
import { brokerError } from '../errors.ts'
import { dataFolder } from '../folders.ts'
import { choosePorts } from '../net/ports.ts'
import type { Guard } from '../processes/guard.ts'
import { locate, withoutDocker } from '../sources/locate.ts'
import type { BrokerName, Source, StartOptions } from '../types.ts'
import { waitUntil } from '../wait.ts'
import { assemble, guarded, type Launched } from './launched.ts'
import {
  describeRabbitNode,
  portMapper,
  rabbitRequirement,
  rabbitServer,
  rabbitTool,
  rabbitVersion,
} from './rabbitmq-node.ts'

/** One RabbitMQ server. */
export function startRabbit(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  return startNodes('rabbitmq', 1, options, sources, guard)
}

/** Three RabbitMQ servers that form one cluster. */
export function startRabbitCluster(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  // Containers would need a network of their own to find each other.
  return startNodes('rabbitmq-cluster', 3, options, withoutDocker(sources), guard)
}

async function startNodes(
  name: BrokerName,
  count: number,
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  const located = await locate(rabbitRequirement, sources, options.debian)
  const ports = await choosePorts(
    3 * count + 1,
    options.port,
    (index) => options.tls === true || index < count || index >= 2 * count,
  )
  const epmdPort = ports[3 * count] ?? 0
  const folder = guarded(dataFolder(name, options.dataDir), guard)
  const certificates = options.tls
    ? await makeCertificates(path.join(folder.path, 'tls'), options.certificate ?? 'good', sources)
    : undefined
  const portsOf = (index: number) => ({
    // With a given first port the AMQP ports come first: the caller knows where to connect.
    amqp: ports[index] ?? 0,
    tls: certificates ? (ports[count + index] ?? 0) : 0,
    distribution: ports[2 * count + index] ?? 0,
  })
  const members = Array.from({ length: count }, (_, index) => index)
  const rabbits = members.map((index) => {
    const home = path.join(folder.path, `node-${index}`)
    mkdirSync(home, { recursive: true })
    return describeRabbitNode({
      located,
      ports: portsOf(index),
      epmdPort,
      folder: home,
      certificates,
      options,
      more: count === 1 ? {} : clusterSettings(members.map((each) => `mq${portsOf(each).amqp}@localhost`)),
    })
  })
  const servers = rabbits.map((rabbit) => rabbitServer(rabbit, located, guard))
  const first = rabbits[0]
  if (!first) throw new Error('a broker has at least one node')
  const urls = rabbits.map(({ port }) => `amqp://guest:guest@127.0.0.1:${port}`)
  const details: Record<string, string> = { nodes: rabbits.map((rabbit) => rabbit.erlangName).join(',') }
  if (certificates) {
    Object.assign(details, certificates, {
      tlsUrl: `amqps://guest:guest@127.0.0.1:${first.tlsPort}`,
      tlsUrls: rabbits.map(({ tlsPort }) => `amqps://guest:guest@127.0.0.1:${tlsPort}`).join(','),
    })
  }
  // The first node that runs: the others may have been killed on purpose.
  const run = (...args: string[]): Promise<string> => {
    const running = servers.findIndex((server) => server.handle() !== undefined)
    return rabbitTool(rabbits[running] ?? first, located, args)
  }
  return assemble(
    {
      name,
      url: urls[0] ?? '',
      urls,
      details,
      nodes: servers,
      helpers: portMapper(located, epmdPort, folder.path, guard),
      folder,
      guard,
      run,
    },
    async () => {
      if (count > 1) await waitForMembers(run, count)
      details['version'] = await rabbitVersion(first.port)
      if (certificates) {
        // For EXTERNAL: the user that the client certificate names.
        await run('add_user', 'client', 'unused-password')
        await run('set_permissions', 'client', '.*', '.*', '.*')
      }
    },
  )
}

async function waitForMembers(run: (...args: string[]) => Promise<string>, count: number): Promise<void> {
  let found = 0
  const together = await waitUntil(
    async () => {
      const status: unknown = JSON.parse(await run('cluster_status', '--formatter', 'json'))
      found = (status as { running_nodes: string[] }).running_nodes.length
      return found === count
    },
    30_000,
    200,
  )
  if (together) return
  throw brokerError('BROKER_START_FAILED', `the RabbitMQ cluster has ${found} of ${count} nodes`)
}

function clusterSettings(names: readonly string[]): Record<string, string> {
  const settings: Record<string, string> = {
    'cluster_formation.peer_discovery_backend': 'classic_config',
    cluster_partition_handling: 'pause_minority',
    // A frozen node is given up after about 10 s instead of 60.
    net_ticktime: '10',
  }
  names.forEach((name, index) => {
    settings[`cluster_formation.classic_config.nodes.${index + 1}`] = name
  })
  return settings
}
