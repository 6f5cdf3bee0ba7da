import { setTimeout } from 'node:timers/promises'
import { Ledger } from './bodies.ts'
import { quantile, rate } from './compare.ts'
import type { Shape, Side } from './side.ts'
import { fill } from './workloads.ts'

/** One kind of growth: what a message costs at one size and at a larger one. */
export interface Growth {
  readonly what: string
  readonly name: string
  /** µs per message, published and handled, median of the rounds. */
  readonly before: number
  readonly after: number
  /** `after` by `before` in the same round: median and upper quartile. */
  readonly ratio: number
  readonly upperQuartile: number
}

export interface GrowthSizes {
  /** Messages measured each time. */
  readonly messages: number
  readonly rounds: number
  /** Messages waiting, few and many. */
  readonly backlog: readonly [number, number]
}

/** How long a broker may be busy with giving back the memory of a queue that was deleted. */
const FREEING_MS = 3_000

const ONE: Shape = { queues: 1, consumers: 1 }

/**
 * W6. Each round measures both sizes of a side, one right after the other. The reference says how much of it is
 * the broker's, or JSON and wire; more consumers than one only this library is asked for.
 */
export async function growth(
  sides: readonly Side[],
  sizes: GrowthSizes,
  progress: (text: string) => void,
): Promise<Growth[]> {
  const { messages, rounds, backlog } = sizes
  const [reference, ours] = sides as [Side, Side]
  const [few, many] = backlog
  const rows: Growth[] = []
  const grow = async (what: string, side: Side, measure: () => Promise<[number, number]>) => {
    progress(`W6 ${what}, ${side.name}`)
    const pairs: [number, number][] = []
    for (let round = 0; round < rounds; round++) pairs.push(await measure())
    rows.push(growthOf(what, side.name, pairs))
  }
  const count = (n: number): string => n.toLocaleString('en')
  const flowing = async (side: Side, bytes: number, shape: Shape): Promise<number> => {
    const session = await side.open(bytes, shape)
    try {
      return await flow(session, messages, 0)
    } finally {
      await session.close()
    }
  }

  for (const side of [reference, ours]) {
    if (side.lacks !== undefined) continue
    await grow(`${count(few)} → ${count(many)} waiting`, side, async () => {
      const cost: number[] = []
      for (const waiting of [few, many]) {
        const session = await side.open(256)
        try {
          await fill(session, waiting)
          cost.push(await flow(session, messages, waiting))
        } finally {
          await session.close()
        }
        if (waiting >= 100_000) await setTimeout(FREEING_MS)
      }
      return cost as [number, number]
    })
  }
  for (const side of [reference, ours]) {
    if (side.shapes !== true) continue
    await grow('10 → 100 queues', side, async () => [
      await flowing(side, 256, { queues: 10, consumers: 1 }),
      await flowing(side, 256, { queues: 100, consumers: 1 }),
    ])
  }
  await grow('1 → 10 consumers of a queue', ours, async () => [
    await flowing(ours, 256, ONE),
    await flowing(ours, 256, { queues: 1, consumers: 10 }),
  ])
  for (const side of [reference, ours]) {
    await grow('bodies of 1 KiB → 10 KiB', side, async () => [
      await flowing(side, 1024, ONE),
      await flowing(side, 10 * 1024, ONE),
    ])
  }
  return rows
}

/**
 * µs per message while `waiting` messages wait all along: whenever 100 have been handled, 100 are published. With none waiting, 1,000 are on
 * their way at a time. The time starts when all consume.
 */
async function flow(
  session: Awaited<ReturnType<Side['open']>>,
  messages: number,
  waiting: number,
): Promise<number> {
  const ahead = waiting === 0 ? Math.min(1_000, messages) : waiting
  const ledger = new Ledger(ahead + messages)
  const sending: Promise<unknown>[] = []
  let handled = 0
  let last = Number.POSITIVE_INFINITY
  let next = waiting
  let finish: () => void = () => undefined
  const done = new Promise<void>((resolve) => (finish = resolve))
  const send = (): void => {
    sending.push(session.publishBatch(next, 100))
    next += 100
  }
  await session.consume(
    (i) => {
      ledger.arrived(i)
      handled++
      if (handled % 100 === 0 && next + 100 <= ahead + messages) send()
      if (handled === last) finish()
    },
    { concurrency: 100, prefetch: 200 },
  )
  const perSecond = await rate(messages, async () => {
    last = Math.min(handled, ahead) + messages
    if (waiting === 0) while (next < ahead) send()
    await done
    await Promise.all(sending)
  })
  return 1e6 / perSecond
}

function growthOf(what: string, name: string, pairs: readonly [number, number][]): Growth {
  const ratios = pairs.map(([before, after]) => after / before)
  return {
    what,
    name,
    before: quantile(
      pairs.map(([before]) => before),
      0.5,
    ),
    after: quantile(
      pairs.map(([, after]) => after),
      0.5,
    ),
    ratio: quantile(ratios, 0.5),
    upperQuartile: quantile(ratios, 0.75),
  }
}
