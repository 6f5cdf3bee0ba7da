import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { runCommand } from '../command.ts'
import { brokerError, messageOf } from '../errors.ts'
import { cacheFolder } from '../folders.ts'
import { intoPlace } from '../into-place.ts'
import { withLock } from '../lock.ts'
import { progress } from '../progress.ts'
import { locate, withoutDocker, type Located, type Requirement } from '../sources/locate.ts'
import type { Source } from '../types.ts'
import { javaFlags, makeArchive } from './kafka-archive.ts'
import { kafkaUser } from './kafka-node.ts'

/** The newest on Maven Central that Java 17 runs. */
export const kafkaVersion = '4.4.0'

const javaRequirement: Requirement<'java'> = {
  label: 'Java 17 or later (for Kafka)',
  tools: ['java'],
  folders: ['/usr/bin'],
  debianPackages: ['default-jre-headless'],
  dockerImage: 'apache/kafka:4.1.0',
  variable: 'KAFKA_BOOTSTRAP_SERVERS',
}

const mavenRequirement: Requirement<'mvn'> = {
  label: 'Maven (to download Kafka)',
  tools: ['mvn'],
  folders: ['/usr/bin'],
  debianPackages: ['maven'],
  variable: 'KAFKA_BOOTSTRAP_SERVERS',
}

/** Any identifier does: the ports keep clusters apart. */
export const clusterId = 'bXEtYnJva2Vycy1rYWZrYQ'

export type KafkaFiles =
  | {
      readonly kind: 'native'
      readonly java: string
      readonly classPath: string
      readonly formatted: string
      /** Flags for starting a broker: the archive of its classes, if there is one. */
      readonly startFlags: readonly string[]
    }
  | Extract<Located, { kind: 'docker' }>

/** Finds Java and brings the jars and a formatted data folder into the cache; a second call finds all of it. */
export async function kafkaFiles(sources: readonly Source[]): Promise<KafkaFiles> {
  const located = await locate(javaRequirement, sources)
  if (located.kind === 'docker') return located
  const { java } = located.tools
  const javaVersion = await checkJava(java)
  const home = path.join(cacheFolder(), `kafka-${kafkaVersion}`)
  const jars = path.join(home, 'libs')
  const formatted = path.join(home, 'formatted')
  // Another Java cannot read it.
  const archive = path.join(home, `classes-${javaVersion}.jsa`)
  const complete = (): boolean => [jars, formatted, archive].every((each) => existsSync(each))
  if (!complete()) {
    await withLock('kafka-files', async () => {
      mkdirSync(home, { recursive: true })
      if (!existsSync(jars)) await intoPlace(jars, (folder) => downloadJars(folder, sources))
      if (!existsSync(formatted)) await intoPlace(formatted, (folder) => format(java, jars, folder))
      if (existsSync(archive)) return
      await makeArchive(java, classPathOf(jars), archive, (to) => copyFormatted(formatted, to, 1))
    })
  }
  return {
    kind: 'native',
    java,
    classPath: classPathOf(jars),
    formatted,
    startFlags: statSync(archive).size > 0 ? [`-XX:SharedArchiveFile=${archive}`] : [],
  }
}

/** Every jar by name: with a wildcard the order is the folder's, and an archive wants the same order again. */
function classPathOf(jars: string): string {
  return readdirSync(jars)
    .sort()
    .map((name) => path.join(jars, name))
    .join(path.delimiter)
}

/** Copies the formatted folder and makes it that of another node. */
export function copyFormatted(formatted: string, to: string, nodeId: number): void {
  if (existsSync(to)) return
  cpSync(formatted, to, { recursive: true })
  const file = path.join(to, 'meta.properties')
  const text = readFileSync(file, 'utf8')
    .replace(/^node\.id=.*$/m, `node.id=${nodeId}`)
    .replace(/^directory\.id=.*$/m, `directory.id=${directoryId()}`)
  writeFileSync(file, text)
}

async function downloadJars(folder: string, sources: readonly Source[]): Promise<void> {
  const found = await locate(mavenRequirement, withoutDocker(sources))
  if (found.kind !== 'native') throw new Error('Maven does not come from Docker')
  progress(`downloading Apache Kafka ${kafkaVersion} from Maven Central`)
  const pom = path.join(path.dirname(folder), 'pom.xml')
  writeFileSync(pom, pomText())
  try {
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${folder}`]
    await runCommand(found.tools.mvn, ['-q', '-B', '-f', pom, ...goal], { timeoutMs: 900_000 })
  } catch (error) {
    // Maven's first complaint says what is wrong, its last lines where to read about it.
    const lines = messageOf(error).split('\n')
    const why = lines.find((line) => line.startsWith('[ERROR]')) ?? lines[0]
    const help = 'connect to the network once, or set KAFKA_BOOTSTRAP_SERVERS'
    throw brokerError(
      'BROKER_MISSING',
      `Kafka cannot be downloaded from Maven Central (${why}): ${help}`,
      error,
    )
  }
  rmSync(pom)
}

async function format(java: string, jars: string, folder: string): Promise<void> {
  const config = path.join(path.dirname(folder), 'format.properties')
  const voters = '1@127.0.0.1:19093'
  writeFileSync(
    config,
    [
      'process.roles=broker,controller',
      'node.id=1',
      `controller.quorum.voters=${voters}`,
      'listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093',
      'controller.listener.names=CONTROLLER',
      `log.dirs=${folder}`,
    ].join('\n'),
  )
  const scram = (mechanism: string): string[] => [
    '--add-scram',
    `${mechanism}=[name=${kafkaUser.username},password=${kafkaUser.password}]`,
  ]
  await runCommand(java, [
    ...javaFlags,
    '-cp',
    classPathOf(jars),
    'kafka.tools.StorageTool',
    'format',
    '-t',
    clusterId,
    '-c',
    config,
    ...scram('SCRAM-SHA-256'),
    ...scram('SCRAM-SHA-512'),
  ])
  rmSync(config)
}

/** Resolves with the full version, fit for a file's name. */
async function checkJava(java: string): Promise<string> {
  // The version goes to standard error; -XshowSettings would print pages.
  const text = await runCommand('/bin/sh', ['-c', '"$0" -version 2>&1', java])
  const version = /version "([\w.+-]+)"/.exec(text)?.[1] ?? '0'
  if (Number.parseInt(version, 10) >= 17) return version
  const found = text.split('\n')[0] ?? 'no version'
  throw brokerError(
    'BROKER_MISSING',
    `Kafka needs Java 17 or later, the PATH has ${found}: run "sudo apt-get install ${javaRequirement.debianPackages.join(' ')}"`,
  )
}

/** Sixteen random bytes; Kafka refuses identifiers that begin with a dash. */
function directoryId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? directoryId() : id
}

function pomText(): string {
  const dependency = (group: string, artifact: string, version: string, more = ''): string =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>${more}</dependency>`
  // The administration tools need nothing that the server lacks; what they name would bring Connect along.
  const alone =
    '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>'
  return `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>mq</groupId><artifactId>brokers</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', kafkaVersion)}
    ${dependency('org.apache.kafka', 'kafka-tools', kafkaVersion, alone)}
    ${dependency('org.slf4j', 'slf4j-simple', '1.7.36')}
  </dependencies>
</project>
`
}
