import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from '../command.ts'
import { brokerError, messageOf } from '../errors.ts'
import { stateFolder } from '../folders.ts'
import { isAlive, signalGroup, startMark } from '../processes/process-table.ts'
import type { NodeHandle } from '../processes/server-node.ts'
import { brokerNames, type BrokerName, type StartOptions } from '../types.ts'
import { pause } from '../wait.ts'

/** What `up` can be asked for. */
export type UpOptions = Pick<StartOptions, 'tls' | 'acl' | 'sasl' | 'port'>

/** What `up` started, for `status` and `down` in other processes. */
export interface Entry {
  readonly name: BrokerName
  readonly url: string
  /** What it was asked for. */
  readonly options: UpOptions
  readonly details: Readonly<Record<string, string>>
  readonly handles: readonly NodeHandle[]
  readonly folders: readonly string[]
}

export function readEntry(name: BrokerName): Entry | undefined {
  const file = fileOf(name)
  if (!existsSync(file)) return undefined
  // An earlier version did not keep the options.
  type Kept = Omit<Entry, 'options'> & Partial<Pick<Entry, 'options'>>
  try {
    return { options: {}, ...(JSON.parse(readFileSync(file, 'utf8')) as Kept) }
  } catch (error) {
    const help = 'end that server by hand, and remove the file'
    throw brokerError('BROKER_COMMAND_FAILED', `${file} cannot be read (${messageOf(error)}): ${help}`, error)
  }
}

export function readEntries(): Entry[] {
  return brokerNames.map(readEntry).filter((entry) => entry !== undefined)
}

export function writeEntry(entry: Entry): void {
  const file = fileOf(entry.name)
  // Renamed into place: a reader never sees half of it.
  writeFileSync(`${file}.new`, JSON.stringify(entry, null, 2), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** True while every process is the one that `up` started; without any there is nothing that could be up. */
export async function isUp(entry: Entry): Promise<boolean> {
  const alive = await Promise.all(entry.handles.map(handleAlive))
  return alive.length > 0 && alive.every(Boolean)
}

/**
 * Stops exactly what the entry names: a number that another process has by now is left alone. Rejects, and keeps the record, when a
 * container could not be removed.
 */
export async function endEntry(entry: Entry): Promise<void> {
  await Promise.all(entry.handles.map(endHandle))
  for (const folder of entry.folders) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
  rmSync(fileOf(entry.name), { force: true })
}

async function handleAlive(handle: NodeHandle): Promise<boolean> {
  if (handle.kind === 'process') return startMark(handle.pid) === handle.mark
  const format = ['--format', '{{.State.Running}}', handle.container]
  return (await runCommand('docker', ['inspect', ...format]).catch(() => '')).trim() === 'true'
}

async function endHandle(handle: NodeHandle): Promise<void> {
  if (handle.kind === 'container') {
    await runCommand('docker', ['rm', '--force', '--volumes', handle.container]).catch((error: unknown) => {
      // Older versions fail for what is gone already.
      if (!/no such container/i.test(messageOf(error))) throw error
    })
    return
  }
  if (startMark(handle.pid) !== handle.mark) return
  signalGroup(handle.pid, 'SIGKILL')
  for (let tries = 0; tries < 1000 && isAlive(handle.pid); tries++) await pause(10)
}

function fileOf(name: BrokerName): string {
  return path.join(stateFolder(), `up-${name}.json`)
}
