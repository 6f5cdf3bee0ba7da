import { Ledger } from './bodies.ts'
import { compare, inFlight, rate, type Contender, type Row } from './compare.ts'
import type { Session, Side } from './side.ts'

export interface Sizes {
  readonly messages: number
  /** Of W3. */
  readonly handled: number
  readonly rounds: number
  readonly bytes: number
}

/** W1 to W4 of every side, the first being the reference. Each message is confirmed on publish and acknowledged after its handler. */
export async function workloads(
  sides: readonly Side[],
  sizes: Sizes,
  progress: (text: string) => void,
): Promise<Row[]> {
  const rows: Row[] = []
  const race = async (
    id: string,
    title: string,
    run: (session: Session, messages: number) => Promise<number>,
    messages = sizes.messages,
  ) => {
    progress(`${id} ${title}`)
    const able = sides.filter(({ lacks }) => !(lacks ?? []).includes(id))
    rows.push(
      ...(await compare(
        `${id} ${title}`,
        able.map((side) => contender(side, sizes.bytes, run)),
        messages,
        sizes.rounds,
      )),
    )
  }
  await race('W1', 'publish, 100 in flight', (session, messages) =>
    rate(messages, () => inFlight(messages, 100, (i) => session.publish(i))),
  )
  await race('W2', 'publish, batches of 100', (session, messages) =>
    rate(messages, () => inFlight(messages / 100, 4, (n) => session.publishBatch(n * 100, 100))),
  )
  for (const [concurrency, prefetch] of [
    [1, 100],
    [100, 100],
    [200, 200],
  ] as const) {
    await race(
      'W3',
      `consume, concurrency ${concurrency}, ${prefetch} fetched`,
      async (session, messages) => {
        await fill(session, messages)
        const ledger = new Ledger(messages)
        return rate(messages, async () => {
          await session.consume((i) => ledger.arrived(i), { concurrency, prefetch })
          await ledger.done
        })
      },
      sizes.handled,
    )
  }
  await race('W4', 'produce and consume', async (session, messages) => {
    const ledger = new Ledger(messages)
    await session.consume((i) => ledger.arrived(i), { concurrency: 100, prefetch: 200 })
    return rate(messages, async () => {
      await inFlight(messages, 100, (i) => session.publish(i))
      await ledger.done
    })
  })
  return rows
}

function contender(
  { name, weaker, open }: Side,
  bytes: number,
  run: (session: Session, messages: number) => Promise<number>,
): Contender {
  return {
    name,
    ...(weaker === undefined ? {} : { weaker }),
    run: async (messages) => {
      const session = await open(bytes)
      try {
        return await run(session, messages)
      } finally {
        await session.close()
      }
    },
  }
}

export function fill(session: Session, messages: number): Promise<void> {
  return inFlight(messages / 100, 4, (n) => session.publishBatch(n * 100, 100))
}
