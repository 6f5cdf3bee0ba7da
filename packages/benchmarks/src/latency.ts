import { performance } from 'node:perf_hooks'
import { Ledger } from './bodies.ts'
import { quantile } from './compare.ts'
import type { Side } from './side.ts'

export interface Latency {
  readonly name: string
  /** ms from the call of publish to the handler, median of the rounds. */
  readonly p50: number
  readonly p99: number
  /** This side's p50 divided by the reference's in the same round: median and upper quartile. */
  readonly ratio: number
  readonly upperQuartile: number
  readonly weaker: string | undefined
}

export interface Pace {
  readonly perSecond: number
  readonly seconds: number
  readonly rounds: number
  readonly bytes: number
}

/** W4 once more, unhurried: latency at a steady pace, the sides in turn. */
export async function latency(sides: readonly Side[], pace: Pace): Promise<Latency[]> {
  const able = sides.filter(({ lacks }) => !(lacks ?? []).includes('W4'))
  const p50 = able.map((): number[] => [])
  const p99 = able.map((): number[] => [])
  for (let round = 0; round < pace.rounds; round++) {
    for (let n = 0; n < able.length; n++) {
      const at = (n + round) % able.length
      const took = await once(able[at] as Side, pace)
      p50[at]?.push(quantile(took, 0.5))
      p99[at]?.push(quantile(took, 0.99))
    }
  }
  const reference = p50[0] as number[]
  return able.map(({ name, weaker }, n) => {
    const own = p50[n] as number[]
    const ratios = own.map((value, round) => value / (reference[round] as number))
    return {
      name,
      p50: quantile(own, 0.5),
      p99: quantile(p99[n] as number[], 0.5),
      ratio: quantile(ratios, 0.5),
      upperQuartile: quantile(ratios, 0.75),
      weaker,
    }
  })
}

async function once(side: Side, { perSecond, seconds, bytes }: Pace): Promise<number[]> {
  const session = await side.open(bytes)
  const count = perSecond * seconds
  const sentAt = new Float64Array(count)
  const took: number[] = []
  const ledger = new Ledger(count)
  await session.consume(
    (i) => {
      took.push(performance.now() - (sentAt[i] as number))
      ledger.arrived(i)
    },
    { concurrency: 100, prefetch: 200 },
  )
  const sending: Promise<unknown>[] = []
  const startedAt = performance.now()
  for (let i = 0; i < count;) {
    const due = Math.min(count, Math.floor(((performance.now() - startedAt) / 1000) * perSecond))
    for (; i < due; i++) {
      sentAt[i] = performance.now()
      sending.push(session.publish(i))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(sending)
  await ledger.done
  await session.close()
  // The first tenth warms up.
  return took.slice(Math.floor(count / 10))
}
