import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, types } from 'node:util'
import type { Capabilities } from '@mq/core/adapter'
import { createContext } from './context.ts'
import { items } from './catalogue.ts'
import type { Item } from './item.ts'
import { deadline, limiter, realClock, turns, within } from './schedule.ts'
import type { Harness, ItemResult, Results, Runner } from './types.ts'

/** Few enough that a run of one group alone does not run everything. */
const GROUPS_AHEAD = 3

/**
 * Declares the whole suite with a test framework, for one broker. Tests run at once, up to `harness.concurrency`; each
 * uses queues and connections of its own. The results are written when all have run.
 */
export function conformance(runner: Runner, harness: Harness): Results {
  const run = suiteRun(harness)
  const report = harness.report ?? ((line: string) => console.warn(line))
  const pending = new Set(harness.pending)
  const only = harness.only === undefined ? null : new Set(harness.only)
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    if (pending.has(item.id)) run.note(item.id, { outcome: 'pending' })
    else if (only !== null && !only.has(item.id))
      run.note(item.id, { outcome: 'skipped', reason: 'not selected' })
    else groups.set(item.group, [...(groups.get(item.group) ?? []), item])
  }
  const left = new Set([...groups.values()].flat().map(({ id }) => id))
  if (pending.size > 0)
    report(`${harness.broker}: ${pending.size} conformance ids pending: ${[...pending].join(', ')}`)

  runner.describe(`conformance of ${harness.broker}`, () => {
    const ordered = [...groups]
    for (const [i, [name, members]] of ordered.entries()) {
      runner.describe(name, () => {
        // All at once, and the groups that follow as there is room; each test then waits for its own.
        runner.beforeAll?.(() => {
          for (const [, group] of ordered.slice(i, i + 1 + GROUPS_AHEAD))
            for (const item of group) void run.start(item)
          return Promise.resolve()
        })
        const wholeGroupMs = members.reduce((sum, item) => sum + run.limitMs(item) + 5000, 0)
        for (const item of members) {
          runner.it(
            `${item.id}: ${item.title}`,
            async () => {
              const { result, error } = await run.start(item)
              left.delete(item.id)
              if (left.size === 0 && runner.afterAll === undefined) await run.write()
              if (result.outcome === 'skipped')
                report(`${harness.broker}: ${item.id} skipped: ${result.reason ?? ''}`)
              if (result.outcome === 'failed') throw error
            },
            wholeGroupMs,
          )
        }
      })
    }
    runner.afterAll?.(() => run.write(), 600_000)
  })
  return run.results
}

/** Runs the suite without a test framework. Never rejects for a test that fails; answers the results, and writes them. */
export async function runConformance(harness: Harness): Promise<Results> {
  const tests: (() => Promise<void>)[] = []
  const after: (() => Promise<void>)[] = []
  const results = conformance(
    {
      describe: (_name, define) => define(),
      it: (_name, run) => void tests.push(run),
      afterAll: (run) => void after.push(run),
    },
    harness,
  )
  await Promise.allSettled(tests.map((test) => test()))
  for (const run of after) await run()
  return results
}

interface Ended {
  readonly result: ItemResult
  readonly error: unknown
}

function suiteRun(harness: Harness) {
  const found: Record<string, ItemResult> = {}
  const started = new Map<string, Promise<Ended>>()
  const limit = limiter(harness.concurrency ?? 8)
  const turn = turns()
  const clock = harness.clock ?? realClock
  const disturbs = harness.faults?.restartBroker !== undefined || harness.faults?.fill !== undefined
  const state: { capabilities: Capabilities | null } = { capabilities: null }
  let probing: Promise<Capabilities> | null = null

  async function probe(): Promise<Capabilities> {
    const adapter = harness.createAdapter()
    try {
      await adapter.connect({ lost: () => undefined, blocked: () => undefined }, deadline(clock, 30_000))
      state.capabilities = { ...adapter.capabilities }
      return adapter.capabilities
    } finally {
      await within(clock, adapter.disconnect(deadline(clock, 2000)), 3000, () => 'disconnect').catch(
        () => undefined,
      )
    }
  }

  const limitMs = (item: Item) => 2 * (harness.patienceMs ?? 15_000) * item.slowness

  async function run(item: Item): Promise<Ended> {
    let ended: Ended | null = null
    await turn(item.alone && disturbs, async () => {
      ended = await runNow(item)
    })
    return ended as unknown as Ended
  }

  async function runNow(item: Item): Promise<Ended> {
    const ended = await attempt(item).catch((error: unknown) => failed(error))
    found[item.id] = ended.result
    return ended
  }

  async function attempt(item: Item): Promise<Ended> {
    const t = createContext(harness, await (probing ??= probe()))
    const ms = limitMs(item)
    const error = await within(clock, item.run(t), ms, () => `${item.id} did not end within ${ms} ms`).then(
      () => null,
      (reason: unknown) => reason ?? new Error('rejected without a reason'),
    )
    const result = t.resultOf(error)
    await t.end()
    return result === null ? failed(error) : { result, error }
  }

  const results: Results = {
    broker: harness.broker,
    get capabilities() {
      return state.capabilities
    },
    get items() {
      // In the order of the catalogue, whatever ended first.
      return Object.fromEntries(items.flatMap(({ id }) => (found[id] === undefined ? [] : [[id, found[id]]])))
    },
  }

  return {
    results,
    limitMs,
    note: (id: string, result: ItemResult) => void (found[id] = result),
    start(item: Item): Promise<Ended> {
      let ended = started.get(item.id)
      if (ended === undefined) started.set(item.id, (ended = limit(() => run(item))))
      return ended
    },
    async write(): Promise<void> {
      // None goes on when the framework has ended.
      await Promise.all(started.values())
      const target =
        harness.resultsFile === undefined ? `results/${harness.broker}.json` : harness.resultsFile
      if (target === null) return
      const file = typeof target === 'string' ? resolve(target) : fileURLToPath(target)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, `${JSON.stringify(results, null, 2)}\n`)
    },
  }
}

function failed(error: unknown): Ended {
  return { result: { outcome: 'failed', reason: textOf(error) }, error }
}

function textOf(error: unknown): string {
  return (types.isNativeError(error) ? `${error.name}: ${error.message}` : inspect(error)).slice(0, 500)
}
