/** What has to be measured in a process of its own: `child.ts footprint|start BENCH URL SIDE [SOME MANY]`. Prints JSON. */
import { performance } from 'node:perf_hooks'
import { BENCHES } from './benches.ts'
import { Ledger } from './bodies.ts'
import { footprint } from './footprint.ts'
import type { Side } from './side.ts'

const [what = '', bench = '', url = '', name = '', some = '', many = ''] = process.argv.slice(2)
const sides = (await BENCHES[bench]?.sides(url)) ?? []
const side = sides.find((each) => each.name === name)
if (side === undefined) throw new Error(`no side "${name}" of ${bench}`)
const result = what === 'footprint' ? await footprint(side, Number(some), Number(many)) : await start(side)
process.stdout.write(JSON.stringify(result))
// Peers leave sockets and timers behind; this process is done.
process.exit(0)

/** ms from nothing to a queue that is there, and from then to the first message handled. */
async function start({ open }: Side): Promise<{ connect: number; first: number }> {
  const startedAt = performance.now()
  const session = await open(256)
  const connectedAt = performance.now()
  const ledger = new Ledger(1)
  await session.consume((i) => ledger.arrived(i), { concurrency: 1, prefetch: 1 })
  await session.publish(0)
  await ledger.done
  return { connect: connectedAt - startedAt, first: performance.now() - connectedAt }
}
