import { performance } from 'node:perf_hooks'

/** One side of a comparison: does a workload once with so many messages, answers messages per second. */
export interface Contender {
  readonly name: string
  /** Shown, not raced: it promises less than the others. */
  readonly weaker?: string
  run(messages: number): Promise<number>
}

export interface Row {
  readonly workload: string
  readonly name: string
  /** Messages per second, median of the alternations. */
  readonly median: number
  /** This side's rate divided by the reference's in the same alternation: median and lower quartile. */
  readonly ratio: number
  readonly lowerQuartile: number
  readonly weaker: string | undefined
}

/** How long a run takes at most, about: a side that is slower than that runs with fewer messages, at least so many. */
const LONGEST_S = 2
const FEWEST = 1_000

/**
 * Runs all sides in turn, `rounds` times after one round of warm-up, so that what else the machine does hits all alike. Ratios are taken
 * within a round, against the first side; the order changes from round to round, and turns round, for each pays for what the one before
 * it left behind: its garbage here, and what its server still has to tidy up.
 */
export async function compare(
  workload: string,
  contenders: readonly Contender[],
  messages: number,
  rounds: number,
): Promise<Row[]> {
  const rates = contenders.map((): number[] => [])
  const counts = contenders.map(() => Math.min(messages, FEWEST))
  // Warm-up; the first few messages tell which side would take minutes over all. A single round only shows that it runs.
  for (let turn = 0; rounds > 1 && turn < 2; turn++) {
    for (const [i, contender] of contenders.entries()) {
      const rate = await contender.run(counts[i] as number)
      counts[i] = Math.min(messages, Math.max(FEWEST, Math.round((rate * LONGEST_S) / 100) * 100))
    }
  }
  for (let round = 0; round < rounds; round++) {
    const order = contenders.map((_, i) => (i + round) % contenders.length)
    if (round % 2 === 1) order.reverse()
    for (const i of order)
      rates[i]?.push(await (contenders[i] as Contender).run(rounds > 1 ? (counts[i] as number) : messages))
  }
  const reference = rates[0] as number[]
  return contenders.map(({ name, weaker }, i) => {
    const own = rates[i] as number[]
    const ratios = own.map((rate, round) => rate / (reference[round] as number))
    return {
      workload,
      name,
      median: quantile(own, 0.5),
      ratio: quantile(ratios, 0.5),
      lowerQuartile: quantile(ratios, 0.25),
      weaker,
    }
  })
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * q
  const low = sorted[Math.floor(place)] as number
  const high = sorted[Math.ceil(place)] as number
  return low + (high - low) * (place - Math.floor(place))
}

/** Messages per second of an asynchronous piece of work. */
export async function rate(messages: number, work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return messages / ((performance.now() - startedAt) / 1000)
}

/** `inFlight` workers share the numbers from 0 to `count`. */
export async function inFlight(
  count: number,
  workers: number,
  each: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await each(next++)
  }
  await Promise.all(Array.from({ length: workers }, worker))
}
