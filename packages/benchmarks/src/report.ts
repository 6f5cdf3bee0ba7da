import { cpus, totalmem } from 'node:os'
import type { Row } from './compare.ts'
import type { Footprint } from './footprint.ts'
import type { Growth } from './growth.ts'
import type { Latency } from './latency.ts'
import type { Import, Start } from './processes.ts'

/** Everything that one `pnpm bench BROKER` found; what the documentation's tables are made of. */
export interface Figures {
  readonly bench: string
  readonly machine: string
  /** `2026-01-31` */
  readonly date: string
  /** Version of the server; absent where there is none. */
  readonly server?: string
  readonly reference: string
  readonly messages: number
  /** Of W3, where they are others. */
  readonly handled?: number
  readonly rounds: number
  /** W1 to W4, by body size in bytes. */
  readonly throughput: readonly { readonly bytes: number; readonly rows: readonly Row[] }[]
  readonly latency: readonly Latency[]
  /** W5, with this many messages. */
  readonly stored: { readonly some: number; readonly many: number; readonly rows: readonly Footprint[] }
  readonly growth: readonly Growth[]
  readonly imports: readonly Import[]
  readonly starts: readonly Start[]
}

export function machine(): string {
  const [first] = cpus()
  return `Node ${process.version}, ${cpus().length} × ${first?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`
}

/** The figures as Markdown, from the heading `level` down. */
export function render(figures: Figures, level: number): string {
  const heading = (depth: number, text: string): string => `${'#'.repeat(level + depth)} ${text}`
  const { bench, reference, messages, handled = messages, rounds, stored } = figures
  const server = figures.server === undefined ? '' : `, server ${figures.server} on the same machine`
  return [
    heading(0, bench),
    `${figures.date}, ${figures.machine}${server}. ${count(messages)} messages a run${handled === messages ? '' : ` (W3: ${count(handled)})`}, ${rounds} alternations.`,
    ...figures.throughput.flatMap(({ bytes, rows }) => [
      heading(1, `${bench}: throughput, bodies of ${bytes} B`),
      throughput(rows, reference),
    ]),
    heading(1, `${bench}: latency at 1,000 messages a second`),
    table(
      ['side', 'p50', 'p99', `p50 × ${reference} (median)`, 'upper quartile', ''],
      figures.latency.map((row) => [
        row.name,
        `${row.p50.toFixed(2)} ms`,
        `${row.p99.toFixed(2)} ms`,
        row.ratio.toFixed(2),
        row.upperQuartile.toFixed(2),
        row.weaker ?? '',
      ]),
    ),
    heading(1, `${bench}: memory of the client (W5)`),
    table(
      [
        'side',
        'connected',
        `${count(stored.some)} published`,
        `growth to ${count(stored.many)}`,
        `most while handling ${count(stored.some)}`,
      ],
      stored.rows.map((row) => [
        row.name,
        ...[row.idle, row.published, row.growth, row.consuming].map((mib) => `${mib.toFixed(1)} MiB`),
      ]),
    ),
    heading(1, `${bench}: growth (W6)`),
    table(
      ['what grows', 'side', 'µs a message before', 'after', 'ratio (median)', 'upper quartile'],
      figures.growth.map((row) => [
        row.what,
        row.name,
        row.before.toFixed(1),
        row.after.toFixed(1),
        row.ratio.toFixed(2),
        row.upperQuartile.toFixed(2),
      ]),
    ),
    heading(1, `${bench}: start (W7)`),
    table(
      ['import', 'ms', 'MiB'],
      figures.imports.map(({ name, ms, mib }) => [`\`${name}\``, ms.toFixed(0), mib.toFixed(1)]),
    ),
    table(
      ['side', 'connect, with a queue', 'first message handled'],
      figures.starts.map(({ name, connect, first }) => [
        name,
        `${connect.toFixed(1)} ms`,
        `${first.toFixed(1)} ms`,
      ]),
    ),
  ].join('\n\n')
}

function throughput(rows: readonly Row[], reference: string): string {
  return table(
    ['workload', 'side', 'msg/s (median)', `× ${reference} (median)`, 'lower quartile', ''],
    rows.map((row) => [
      row.workload,
      row.name,
      count(Math.round(row.median)),
      row.ratio.toFixed(2),
      row.lowerQuartile.toFixed(2),
      row.weaker ?? '',
    ]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function count(n: number): string {
  return n.toLocaleString('en')
}
