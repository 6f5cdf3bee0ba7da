import { Ledger } from './bodies.ts'
import type { Side } from './side.ts'
import { fill } from './workloads.ts'

/** W5 of one side, measured in a process of its own. MiB. */
export interface Footprint {
  readonly name: string
  /** Connected, nothing sent yet. */
  readonly idle: number
  /** With some messages published (100,000), and what many (1,000,000) add to that. */
  readonly published: number
  readonly growth: number
  /** The most while some of them are handled. */
  readonly consuming: number
}

const MIB = 2 ** 20

/** Run with --expose-gc. `some` and `many`: messages waiting. */
export async function footprint(side: Side, some: number, many: number): Promise<Footprint> {
  const session = await side.open(256)
  try {
    const idle = resident()
    await fill(session, some)
    const published = resident()
    await fill(offset(session, some), many - some)
    const more = resident()
    const ledger = new Ledger(many)
    let handled = 0
    let most = 0
    await new Promise<void>((resolve, reject) => {
      const sample = (): void => void (most = Math.max(most, process.memoryUsage.rss() / MIB))
      const look = setInterval(sample, 20)
      session
        .consume(
          (i) => {
            ledger.arrived(i)
            if (++handled !== some) return
            clearInterval(look)
            // A side that never lets a timer run is sampled here alone.
            sample()
            resolve()
          },
          { concurrency: 100, prefetch: 200 },
        )
        .catch(reject)
    })
    return { name: side.name, idle, published, growth: more - published, consuming: most }
  } finally {
    await session.close()
  }
}

function offset(session: Awaited<ReturnType<Side['open']>>, by: number): typeof session {
  return { ...session, publishBatch: (from, count) => session.publishBatch(from + by, count) }
}

function resident(): number {
  for (let n = 0; n < 3; n++) globalThis.gc?.()
  return process.memoryUsage.rss() / MIB
}
