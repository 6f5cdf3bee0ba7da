import { brokerError, messageOf } from '../errors.ts'
import { withLock } from '../lock.ts'
import { createGuard } from '../processes/guard.ts'
import { requireBrokers } from '../require-brokers.ts'
import { launchBroker } from '../start.ts'
import { asksForOwn } from '../sources/environment.ts'
import { sourcesFor } from '../sources/locate.ts'
import type { BrokerName } from '../types.ts'
import { addressVariable } from '../variables.ts'
import { endEntry, isUp, readEntries, readEntry, writeEntry, type Entry, type UpOptions } from './state.ts'

export type Print = (line: string) => void

/** Starts what is not up yet and prints `NAME URL` and the variable to set for each. */
export async function up(names: readonly BrokerName[], options: UpOptions, print: Print): Promise<void> {
  const sources = sourcesFor(undefined).filter((source) => source !== 'environment' || !asksForOwn(options))
  await requireBrokers(names, { sources })
  for (const name of names) await withLock(`up-${name}`, () => upOne(name, options, print))
}

async function upOne(name: BrokerName, options: UpOptions, print: Print): Promise<void> {
  const before = readEntry(name)
  if (before && (await isUp(before))) {
    const [is, asked] = [flagsOf(before.options), flagsOf(options)]
    if (is === asked) return printEntry(before, print)
    const help = `run "pnpm brokers down ${name}" first`
    throw brokerError(
      'BROKER_START_FAILED',
      `${name} is up with ${is}, and was asked for with ${asked}: ${help}`,
    )
  }
  // Half of a cluster may be left of it.
  if (before) await endEntry(before)
  const guard = createGuard()
  const { broker, nodes, folders } = await launchBroker(name, options, guard)
  const handles = nodes.map((node) => node.handle()).filter((handle) => handle !== undefined)
  const entry: Entry = { name, url: broker.url, options, details: broker.details, handles, folders }
  if (broker.owned) writeEntry(entry)
  // Until here an interrupted command leaves nothing behind.
  guard.release()
  printEntry(entry, print)
}

/** As on the command line. */
function flagsOf(options: UpOptions): string {
  const flags = Object.entries(options)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => (value === true ? `--${name}` : `--${name} ${value}`))
  return flags.sort().join(' ') || 'no options'
}

function printEntry({ name, url, details }: Pick<Entry, 'name' | 'url' | 'details'>, print: Print): void {
  print(`${name} ${url}`)
  const variable = addressVariable(name)
  if (variable !== undefined) print(`export ${variable}=${url}`)
  const { tlsUrl, caPath } = details
  if (tlsUrl !== undefined && caPath !== undefined) print(`${name} ${tlsUrl} (authority: ${caPath})`)
}

/** Stops what `up` started; without names, all of it. Rejects once all is tried, with a line for each that could not be stopped. */
export async function down(names: readonly BrokerName[], print: Print): Promise<void> {
  const chosen = names.length > 0 ? names : readEntries().map((entry) => entry.name)
  if (chosen.length === 0) print('nothing is up')
  const problems: string[] = []
  for (const name of chosen) {
    await withLock(`up-${name}`, async () => {
      const entry = readEntry(name)
      if (entry) await endEntry(entry)
      print(`${name} ${entry ? 'stopped' : 'is not up'}`)
    }).catch((error: unknown) => problems.push(`${name}: ${messageOf(error)}`))
  }
  if (problems.length > 0) throw brokerError('BROKER_COMMAND_FAILED', problems.join('\n'))
}

/** Prints name, state, process ids, url and version of what `up` started. */
export async function status(names: readonly BrokerName[], print: Print): Promise<void> {
  const entries = readEntries().filter((entry) => names.length === 0 || names.includes(entry.name))
  for (const name of names) if (!entries.some((entry) => entry.name === name)) print(`${name} is not up`)
  if (entries.length === 0 && names.length === 0) print('nothing is up')
  for (const entry of entries) {
    const ids = entry.handles.map((one) => (one.kind === 'process' ? one.pid : one.container)).join(',')
    const state = (await isUp(entry)) ? 'up' : 'died'
    print(`${entry.name} ${state} pid ${ids} ${entry.url} version ${entry.details['version'] ?? 'unknown'}`)
  }
}
