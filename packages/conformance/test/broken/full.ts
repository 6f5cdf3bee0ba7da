import type { OutboundMessage } from '@mq/core/adapter'
import { keyOf, onPublish, sharedMap, type Broken, type Run } from './broken.ts'
import { counting } from './left-behind.ts'

/** Notes what time does to a message: how long until then, or `undefined`. */
function noted(
  run: Run,
  when: (message: OutboundMessage) => number | undefined,
  note: (target: object) => void,
) {
  return (inner: Parameters<Broken['fault']>[0]) =>
    onPublish(inner, (message) => {
      const ms = when(message)
      if (ms !== undefined) run.clock.setTimeout(() => note(message.destination), ms)
      return message
    })
}

const due = ({ delayMs }: OutboundMessage) => (delayMs > 0 ? delayMs : undefined)

/** Faults of queues with a limit that count what time does. */
export const full: readonly Broken[] = [
  {
    name: 'counts twice what was delayed, once it is due',
    fault: (inner, run) =>
      counting(run, inner, (left) => noted(run, due, (target) => left(target, 1))(inner)),
    fails: ['extras.limits-freed'],
  },
  {
    name: 'counts what has expired',
    fault: (inner, run) =>
      counting(run, inner, (left) =>
        noted(
          run,
          ({ expiresAt }) => (expiresAt === undefined ? undefined : expiresAt - run.clock.now()),
          (target) => left(target, 1),
        )(inner),
      ),
    fails: ['extras.limits-freed'],
  },
  {
    name: 'has room for one more for each that was delayed',
    fault(inner, run) {
      const more = sharedMap<number>(run.shared, 'more')
      const noting = noted(
        run,
        due,
        (target) => void more.set(keyOf(target), (more.get(keyOf(target)) ?? 0) + 1),
      )(inner)
      return {
        ...noting,
        async publish(batch, signal) {
          const outcomes = [...(await noting.publish(batch, signal))]
          for (const [i, message] of batch.entries()) {
            const left = more.get(keyOf(message.destination)) ?? 0
            if (outcomes[i]?.ok !== false || left === 0) continue
            more.set(keyOf(message.destination), left - 1)
            // Room is looked for when it is sent, and not when it is due.
            const [outcome] = await inner.publish([{ ...message, delayMs: 1 }], signal)
            if (outcome !== undefined) outcomes[i] = outcome
          }
          return outcomes
        },
      }
    },
    fails: ['extras.limits-freed'],
  },
]
