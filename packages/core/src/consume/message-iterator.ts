import type { Engine } from '../engine.ts'
import type { Held } from './held.ts'
import { Intake } from './intake.ts'
import type { Source } from '../adapter/contract.ts'

/**
 * Deliveries one after another, fetched a few ahead, renewed until settled. Leaving the loop gives back what was read ahead; what was
 * handed out stays with its owner, and the receiver closes once that is settled.
 */
export async function* iterate(
  engine: Engine,
  source: Source,
  opened: (intake: Intake) => void,
): AsyncGenerator<Held, void, undefined> {
  const intake = await Intake.open(engine, source)
  opened(intake)
  let ahead: Held[] = []
  const leave = new AbortController()
  try {
    while (!intake.closed) {
      if (ahead.length === 0) ahead = await intake.receive(source.prefetch, leave.signal)
      const next = ahead.shift()
      if (next === undefined) {
        await new Promise((resolve) => setImmediate(resolve))
        continue
      }
      if (next.state === 'open') yield next
    }
  } finally {
    leave.abort()
    await intake.release(ahead)
    if (intake.size === 0) await intake.close()
    else {
      intake.onFreed = () => {
        if (intake.size === 0) void intake.close()
      }
    }
  }
}
