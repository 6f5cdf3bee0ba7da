import { cpus, totalmem } from 'node:os'
import { startBroker } from '@mq/brokers'
import { table } from './compare.ts'
import { memorySides } from './memory.ts'
import { redisSides } from './redis.ts'
import type { Side } from './side.ts'
import { latency, workloads } from './workloads.ts'

interface Bench {
  readonly messages: number
  run(each: (sides: readonly Side[]) => Promise<void>): Promise<void>
}

const BENCHES: Readonly<Record<string, Bench>> = {
  memory: { messages: 100_000, run: (each) => each(memorySides) },
  redis: {
    messages: 20_000,
    async run(each) {
      const broker = await startBroker('redis')
      try {
        await each(redisSides(broker.url))
      } finally {
        await broker.stop()
      }
    },
  },
}

const flags = process.argv.slice(2).filter((each) => each.startsWith('--'))
const names = process.argv.slice(2).filter((each) => !each.startsWith('--'))
const unknown = [
  ...names.filter((name) => !(name in BENCHES)),
  ...flags.filter((flag) => flag !== '--smoke' && flag !== '--quick'),
]
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(', ')}\nusage: pnpm bench [${Object.keys(BENCHES).join('] [')}] [--quick | --smoke]`,
  )
  process.exit(2)
}
// Smoke: does it run? Quick: a first impression. Neither is a measurement to show.
const [share, rounds, seconds] = flags.includes('--smoke')
  ? [0.01, 1, 1]
  : flags.includes('--quick')
    ? [0.2, 3, 2]
    : [1, 7, 10]
const progress = (text: string) => process.stderr.write(`  ${text}\n`)

console.log(
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
)
for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  const bench = BENCHES[name] as Bench
  await bench.run(async (sides) => {
    for (const bytes of [256, 1024]) {
      const messages = Math.max(100, Math.round((bench.messages * share) / 100) * 100)
      progress(`${name}, ${bytes} B`)
      const rows = await workloads(sides, { messages, rounds, bytes }, progress)
      console.log(`\n## ${name}, bodies of ${bytes} B, ${messages} messages, ${rounds} alternations\n`)
      console.log(table(rows, (sides[0] as Side).name))
    }
    console.log(`\n### ${name}: latency at 1,000 messages a second, 256 B\n`)
    for (const { name: side, p50, p99 } of await latency(sides, 1000, seconds, 256)) {
      console.log(`- ${side}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
    }
  })
}
