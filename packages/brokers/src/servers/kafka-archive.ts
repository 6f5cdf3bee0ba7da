import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { kafkaMetadata } from '../net/kafka.ts'
import { freePorts } from '../net/ports.ts'
import { createGuard } from '../processes/guard.ts'
import { progress } from '../progress.ts'
import { waitUntil } from '../wait.ts'
import { writeKafkaConfig } from './kafka-node.ts'

/** Flags that make a short life cheap: start-up counts, peak speed does not. */
export const javaFlags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'] as const

/**
 * Writes an archive of the classes that a starting broker loads, by starting one: later starts take a third less
 * time and processor. Where that does not work an empty file says so, and it is not tried again.
 */
export async function makeArchive(
  java: string,
  classPath: string,
  target: string,
  prepareData: (folder: string) => void,
): Promise<void> {
  progress('preparing Kafka for quick starts (about 15 s, once)')
  const folder = mkdtempSync(path.join(path.dirname(target), 'train-'))
  try {
    const archive = path.join(folder, 'classes.jsa')
    prepareData(path.join(folder, 'data'))
    await startAndEnd(java, classPath, archive, folder)
    if (existsSync(archive)) renameSync(archive, target)
    else writeFileSync(target, '')
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}

/** The archive is written when the process ends by itself: SIGTERM, then patience. */
async function startAndEnd(java: string, classPath: string, archive: string, folder: string): Promise<void> {
  const [plain = 0, controller = 0] = await freePorts(2)
  const config = writeKafkaConfig({
    nodeId: 1,
    controllers: [controller],
    ports: { plain, controller, sasl: 0, tls: 0, saslTls: 0, proxied: 0, proxy: 0 },
    bind: '127.0.0.1',
    folder,
    certificates: undefined,
    options: {},
  })
  const guard = createGuard()
  const log = openSync(path.join(folder, 'kafka.log'), 'a')
  const flags = ['-Xmx256m', ...javaFlags, `-XX:ArchiveClassesAtExit=${archive}`]
  const child = spawn(java, [...flags, '-cp', classPath, 'kafka.Kafka', config], {
    cwd: folder,
    env: process.env,
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  child.on('error', () => undefined)
  if (child.pid === undefined) return
  guard.watchGroup(child.pid)
  const over = once(child, 'exit')
  await waitUntil(async () => {
    if (child.exitCode !== null) return true
    return kafkaMetadata('127.0.0.1', plain).then(
      () => true,
      () => false,
    )
  }, 60_000)
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  await over
  clearTimeout(timer)
  guard.forgetGroup(child.pid)
}
