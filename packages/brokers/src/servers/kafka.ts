import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { makeCertificates } from '../certificates.ts'
import { runCommand } from '../command.ts'
import { brokerError } from '../errors.ts'
import { dataFolder } from '../folders.ts'
import { kafkaMetadata } from '../net/kafka.ts'
import { choosePorts } from '../net/ports.ts'
import { dockerNode } from '../processes/docker-node.ts'
import type { Guard } from '../processes/guard.ts'
import { nativeNode } from '../processes/native-node.ts'
import type { ServerNode } from '../processes/server-node.ts'
import { withoutDocker } from '../sources/locate.ts'
import type { BrokerName, Source, StartOptions } from '../types.ts'
import { waitUntil } from '../wait.ts'
import { clusterId, copyFormatted, kafkaFiles, kafkaVersion, type KafkaFiles } from './kafka-files.ts'
import { javaFlags } from './kafka-archive.ts'
import { kafkaUser, writeKafkaConfig, type KafkaPorts } from './kafka-node.ts'
import { assemble, guarded, type Launched } from './launched.ts'

/** One Kafka broker that is its own controller. */
export function startKafka(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  return startNodes('kafka', 1, options, sources, guard)
}

/** Three Kafka brokers, each a controller too: replication factor 3, two in-sync replicas needed. */
export function startKafkaCluster(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  return startNodes('kafka-cluster', 3, options, withoutDocker(sources), guard)
}

async function startNodes(
  name: BrokerName,
  count: number,
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  const files = await kafkaFiles(sources)
  const { tls, sasl, proxied } = options
  // The last belongs to the caller's proxy.
  const wanted = [true, true, sasl, tls, sasl && tls, proxied, false]
  const ports = await choosePorts(7 * count, options.port, (index) => !!wanted[Math.floor(index / count)])
  const folder = guarded(dataFolder(name, options.dataDir), guard)
  const certificates = options.tls
    ? await makeCertificates(path.join(folder.path, 'tls'), options.certificate ?? 'good', sources)
    : undefined
  const members = Array.from({ length: count }, (_, index) => index)
  // With a given first port the plain listeners come first: the caller knows where to connect.
  const port = (kind: number, index: number, wanted: unknown): number =>
    wanted ? (ports[kind * count + index] ?? 0) : 0
  const portsOf = (index: number): KafkaPorts => ({
    plain: port(0, index, true),
    controller: port(1, index, true),
    sasl: port(2, index, options.sasl),
    tls: port(3, index, options.tls),
    saslTls: port(4, index, options.sasl && options.tls),
    proxied: port(5, index, options.proxied),
    proxy: port(6, index, options.proxied),
  })
  const nodes = members.map((index) => {
    const home = path.join(folder.path, `node-${index}`)
    mkdirSync(home, { recursive: true })
    const config = writeKafkaConfig({
      nodeId: index + 1,
      controllers: members.map((each) => portsOf(each).controller),
      ports: portsOf(index),
      bind: files.kind === 'docker' ? '0.0.0.0' : '127.0.0.1',
      folder: home,
      certificates,
      options,
    })
    return kafkaNode(
      files,
      { index, home, config, ports: portsOf(index), folder: folder.path, options },
      guard,
    )
  })
  const list = (kind: keyof KafkaPorts): string =>
    members.map((index) => `127.0.0.1:${portsOf(index)[kind]}`).join(',')
  const details: Record<string, string> = {
    version: files.kind === 'native' ? kafkaVersion : (files.image.split(':')[1] ?? 'unknown'),
    ...certificates,
    ...(options.tls ? { tlsUrl: list('tls') } : {}),
    ...(options.sasl ? { saslUrl: list('sasl'), ...kafkaUser } : {}),
    ...(options.sasl && options.tls ? { saslTlsUrl: list('saslTls') } : {}),
    ...(options.proxied ? { proxiedUrl: list('proxied'), proxyUrl: list('proxy') } : {}),
  }
  const url = list('plain')
  const waitForAll = async (): Promise<void> => {
    const together = await waitUntil(async () => {
      const views = await Promise.all(
        members.map((index) => kafkaMetadata('127.0.0.1', portsOf(index).plain)),
      )
      return views.every(({ brokers }) => brokers.length === count)
    }, 60_000)
    if (!together) throw brokerError('BROKER_START_FAILED', 'the Kafka brokers did not find each other')
  }
  const run = (...args: string[]): Promise<string> => kafkaTool(files, url, args)
  return assemble({ name, url, urls: url.split(','), details, nodes, folder, guard, run }, waitForAll)
}

interface NodePlace {
  index: number
  home: string
  config: string
  ports: KafkaPorts
  folder: string
  options: StartOptions
}

function kafkaNode(files: KafkaFiles, place: NodePlace, guard: Guard): ServerNode {
  const { home, config, ports, options } = place
  const label = `kafka on port ${ports.plain}`
  const heap = `-Xmx${options.memoryMiB ?? 256}m`
  const readyTimeoutMs = 90_000
  const ready = async (): Promise<boolean> =>
    (await kafkaMetadata('127.0.0.1', ports.plain)).brokers.some(({ id }) => id === place.index + 1)
  if (files.kind === 'docker') {
    const format = `/opt/kafka/bin/kafka-storage.sh format --ignore-formatted -t ${clusterId} -c ${config}`
    return dockerNode(
      {
        label,
        docker: files.docker,
        image: files.image,
        container: `mq-kafka-${ports.plain}`,
        ports: [ports.plain, ports.sasl, ports.tls, ports.saslTls, ports.proxied].filter((port) => port > 0),
        folders: [place.folder],
        env: { KAFKA_HEAP_OPTS: heap, LOG_DIR: path.join(home, 'log') },
        entrypoint: '/bin/sh',
        args: ['-c', `${format} && exec /opt/kafka/bin/kafka-server-start.sh ${config}`],
        ready,
        readyTimeoutMs,
      },
      guard,
    )
  }
  copyFormatted(files.formatted, path.join(home, 'data'), place.index + 1)
  return nativeNode(
    {
      label,
      command: files.java,
      args: [
        heap,
        ...javaFlags,
        ...files.startFlags,
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
        '-Dorg.slf4j.simpleLogger.showDateTime=true',
        '-cp',
        files.classPath,
        'kafka.Kafka',
        config,
      ],
      cwd: home,
      logPath: path.join(home, 'kafka.log'),
      ready,
      readyTimeoutMs,
    },
    guard,
  )
}

const tools: Readonly<Record<string, string>> = {
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-configs': 'org.apache.kafka.tools.ConfigCommand',
  'kafka-delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  'kafka-leader-election': 'org.apache.kafka.tools.LeaderElectionCommand',
  'kafka-metadata-quorum': 'org.apache.kafka.tools.MetadataQuorumCommand',
}

/** The first argument names the tool, e.g. `kafka-topics`; the address is added. A JVM start: 1 to 2 s. */
async function kafkaTool(files: KafkaFiles, url: string, args: readonly string[]): Promise<string> {
  const [tool = '', ...rest] = args
  const main = tools[tool]
  if (main === undefined) {
    throw new RangeError(`run() takes one of ${Object.keys(tools).join(', ')} first, not "${tool}"`)
  }
  const where = rest.includes('--bootstrap-server') ? [] : ['--bootstrap-server', url]
  const port = url.split(',')[0]?.split(':')[1] ?? ''
  const printed =
    files.kind === 'docker'
      ? await runCommand(files.docker, [
          'exec',
          `mq-kafka-${port}`,
          `/opt/kafka/bin/${tool}.sh`,
          ...where,
          ...rest,
        ])
      : await runCommand(files.java, [
          ...javaFlags,
          '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
          '-cp',
          files.classPath,
          main,
          ...where,
          ...rest,
        ])
  return printed.trimEnd()
}
