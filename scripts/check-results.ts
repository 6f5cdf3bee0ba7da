import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMain, report } from './lib/main.ts'
import { adapterNames, root } from './lib/workspace.ts'

/** What the conformance suite writes for one broker: `results/<broker>.json`. */
export interface BrokerResults {
  broker: string
  items: Record<string, { outcome: string; capability?: string; reason?: string }>
}

export interface ResultsInput {
  /** Every id of the suite. */
  ids: readonly string[]
  /** Brokers whose results must exist. */
  required: readonly string[]
  results: readonly BrokerResults[]
  /** Broker → ids that it does not pass yet. */
  pending: ReadonlyMap<string, readonly string[]>
}

/** `refused` is a pass: the suite asserts the refusal that the broker declares. */
const ran = new Set(['passed', 'refused'])

/** One line per id that did not run, failed, is unknown, or passes although it is listed as still to come. */
export function resultProblems({ ids, required, results, pending }: ResultsInput): string[] {
  const problems: string[] = []
  const known = new Set(ids)
  const present = new Set(results.map(({ broker }) => broker))
  for (const broker of required) {
    if (!present.has(broker)) problems.push(`${broker}: the conformance suite left no results`)
  }
  for (const { broker, items } of results) {
    const later = new Set(pending.get(broker))
    for (const id of ids) {
      const item = items[id]
      if (!item) {
        problems.push(`${broker}: ${id} did not run`)
      } else if (later.has(id)) {
        if (ran.has(item.outcome)) problems.push(`${broker}: ${id} passes; take it off the pending list`)
      } else if (!ran.has(item.outcome)) {
        problems.push(`${broker}: ${id} ${item.outcome}${item.reason ? ` (${item.reason})` : ''}`)
      }
    }
    const unknown = [...Object.keys(items), ...later].filter((id) => !known.has(id))
    for (const id of new Set(unknown)) problems.push(`${broker}: ${id} is no id of the suite`)
  }
  return problems
}

/** The pending lists, for people: how many ids each broker still owes, and which. */
export function pendingLines(pending: ReadonlyMap<string, readonly string[]>, total: number): string[] {
  return [...pending].flatMap(([broker, ids]) =>
    ids.length === 0 ? [] : [`${broker}: ${ids.length} of ${total} ids pending: ${ids.join(', ')}`],
  )
}

/** The brokers that must leave results: the in-memory one and every adapter package. */
export function requiredBrokers(base: string = root): string[] {
  return ['memory', ...adapterNames(base)]
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T
}

function readResults(folder: string): BrokerResults[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => readJson<BrokerResults>(join(folder, name)))
}

/** The list of a broker lives beside its tests; the in-memory broker's beside core's. */
function readPending(base: string): Map<string, string[]> {
  const pending = new Map<string, string[]>()
  for (const broker of requiredBrokers(base)) {
    const file = join(base, 'packages', broker === 'memory' ? 'core' : broker, 'test/pending.json')
    if (existsSync(file)) pending.set(broker, readJson<string[]>(file))
  }
  return pending
}

/**
 * Holds `results/` against the suite's list.
 * `required` defaults to every broker; a run of some suites passes the ones it was to run.
 */
export async function checkResults(required: readonly string[] = requiredBrokers()): Promise<string[]> {
  const { conformanceIds } = await import('@mq/conformance')
  const pending = readPending(root)
  for (const line of pendingLines(pending, conformanceIds.length)) console.log(line)
  return resultProblems({
    ids: conformanceIds,
    required,
    results: readResults(join(root, 'results')),
    pending,
  })
}

if (isMain(import.meta.url)) report('conformance results', await checkResults())
