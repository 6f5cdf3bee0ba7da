import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startBroker } from '@mq/brokers'
import { BENCHES, type Bench } from './benches.ts'
import { growth } from './growth.ts'
import { latency } from './latency.ts'
import { footprints, imports, isBuilt, starts } from './processes.ts'
import { type Figures, machine, render } from './report.ts'
import type { Side } from './side.ts'
import { workloads } from './workloads.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const flags = process.argv.slice(2).filter((each) => each.startsWith('--'))
const names = process.argv.slice(2).filter((each) => !each.startsWith('--'))
const unknown = [
  ...names.filter((name) => !Object.hasOwn(BENCHES, name)),
  ...flags.filter((flag) => flag !== '--smoke' && flag !== '--quick'),
]
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(', ')}\nusage: pnpm bench [${Object.keys(BENCHES).join('] [')}] [--quick | --smoke]`,
  )
  process.exit(2)
}

/** Shares of the messages of a run and of a backlog, alternations, and seconds of each latency run. */
interface Effort {
  readonly share: number
  readonly backlogShare: number
  readonly rounds: number
  readonly seconds: number
}

// Smoke: does it run? Quick: a first impression. Neither is a measurement to show.
const whole = flags.length === 0
const effort: Effort = flags.includes('--smoke')
  ? { share: 0.01, backlogShare: 0.01, rounds: 1, seconds: 1 }
  : flags.includes('--quick')
    ? { share: 0.2, backlogShare: 0.2, rounds: 3, seconds: 2 }
    : { share: 1, backlogShare: 1, rounds: 7, seconds: 5 }
const progress = (text: string) => process.stderr.write(`  ${text}\n`)

for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  const bench = BENCHES[name] as Bench
  const broker =
    bench.broker === undefined
      ? undefined
      : await startBroker(bench.broker, { fresh: true, extra: bench.settings ?? {} })
  try {
    const figures = await measure(name, bench, broker?.url ?? '', broker?.details['version'])
    console.log(`\n${render(figures, 2)}`)
    if (whole) keep(figures)
  } finally {
    await broker?.stop()
  }
}
if (whole) command('scripts/generate-docs.ts')

async function measure(
  name: string,
  bench: Bench,
  url: string,
  server: string | undefined,
): Promise<Figures> {
  progress(`${name}, ${machine()}`)
  const { rounds, seconds } = effort
  const messages = some(bench.messages, effort.share)
  const handled = some(bench.handled ?? bench.messages, effort.share)
  const sides = await bench.sides(url)
  const throughput: Figures['throughput'][number][] = []
  for (const bytes of [256, 1024]) {
    progress(`bodies of ${bytes} B`)
    throughput.push({ bytes, rows: await workloads(sides, { messages, handled, rounds, bytes }, progress) })
  }
  progress('latency')
  const fewer = Math.min(rounds, 5)
  const pace = { perSecond: 1000, seconds, rounds: fewer, bytes: 256 }
  const waits = await latency(sides, pace)
  const [few, stored, many] = bench.backlog.map((n) => some(n, effort.backlogShare)) as [
    number,
    number,
    number,
  ]
  const rows = await footprints(name, url, sides, [stored, many], progress)
  const sizes = {
    messages: some(bench.growing, effort.share),
    rounds: Math.min(rounds, 3),
    backlog: [few, many] as const,
  }
  const grown = await growth(sides, sizes, progress)
  if (!bench.imports.every(isBuilt)) {
    progress('building the packages, whose import is measured')
    command('scripts/build.ts')
  }
  return {
    bench: name,
    machine: machine(),
    date: new Date().toISOString().slice(0, 10),
    ...(server === undefined ? {} : { server }),
    reference: (sides[0] as Side).name,
    messages,
    handled,
    rounds,
    throughput,
    latency: waits,
    stored: { some: stored, many, rows },
    growth: grown,
    imports: await imports(bench, fewer, progress),
    starts: await starts(name, url, sides, fewer, progress),
  }
}

/** A share of a number, in hundreds. */
function some(n: number, share: number): number {
  return Math.max(100, Math.round((n * share) / 100) * 100)
}

/** Where the documentation's tables come from. */
function keep(figures: Figures): void {
  const folder = fileURLToPath(new URL('../figures', import.meta.url))
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/${figures.bench}.json`, `${JSON.stringify(figures, null, 2)}\n`)
}

function command(script: string): void {
  const { status } = spawnSync(process.execPath, [...process.execArgv, script], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) throw new Error(`${script} failed`)
}
