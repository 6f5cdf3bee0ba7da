import fc from 'fast-check'
import type { HandlerKind, World } from './world.ts'

/** A property, since fast-check hands a model out as a read-only copy of its type. */
interface State {
  readonly world: World
}

type Command = fc.AsyncCommand<State, World>

/** `can`: whether it makes sense now; where not, it is left out. */
function command(
  text: string,
  run: (world: World) => Promise<void>,
  can?: (world: World) => boolean,
): Command {
  return {
    check: ({ world }) => can?.(world) ?? true,
    async run({ world }) {
      await run(world)
      world.check()
    },
    toString: () => text,
  }
}

const who = fc.integer({ min: 0, max: 1 })
const some = fc.integer({ min: 0, max: 3 })
const delay = fc.integer({ min: 20, max: 80 })

const holds = ({ held }: World) => held.length > 0

const send = who.map((i) => command(`send ${i}`, (world) => world.send(i, 0)))
const sendLater = fc
  .tuple(who, delay)
  .map(([i, ms]) => command(`send ${i} in ${ms} ms`, (world) => world.send(i, ms)))

const look = who.map((i) => command(`receive ${i}`, (world) => world.look(i)))
const await_ = who.map((i) =>
  command(
    `await ${i}`,
    (world) => world.await(i),
    (world) => !world.consuming && world.expected.mandatory.length > 0,
  ),
)

const settle = fc
  .tuple(some, fc.constantFrom('ack', 'requeue', 'reject'))
  .map(([pick, how]) => command(`${how} ${pick}`, (world) => world.settle(pick, how), holds))
const requeueLater = fc
  .tuple(some, delay)
  .map(([pick, ms]) =>
    command(`requeue ${pick} in ${ms} ms`, (world) => world.settle(pick, 'requeue', ms), holds),
  )

const consume = fc
  .tuple(who, fc.constantFrom<HandlerKind[]>('ack', 'fail-first', 'reject'))
  .map(([i, kind]) =>
    command(
      `consume ${i} ${kind}`,
      (world) => world.consume(i, kind),
      (world) => !world.consumes(i),
    ),
  )
const stop = fc.tuple(who, fc.boolean()).map(([i, drain]) =>
  command(
    `stop ${i}${drain ? ' drained' : ''}`,
    (world) => world.stop(i, drain),
    (world) => world.consumes(i),
  ),
)

const pause = fc
  .integer({ min: 5, max: 60 })
  .map((ms) => command(`wait ${ms} ms`, (world) => world.pause(ms)))

const reconnect = who.map((i) =>
  command(
    `reconnect ${i}`,
    (world) => world.reconnect(i),
    (world) => !world.consumes(i),
  ),
)
const crash = who.map((i) => command(`crash ${i}`, (world) => world.crash(i)))
const cut = who.map((i) => command(`cut ${i}`, (world) => world.cut(i)))

/** Any of them, as often as makes a run interesting. */
const any = fc.oneof(
  { weight: 40, arbitrary: send },
  { weight: 8, arbitrary: sendLater },
  { weight: 48, arbitrary: look },
  { weight: 8, arbitrary: await_ },
  { weight: 56, arbitrary: settle },
  { weight: 16, arbitrary: requeueLater },
  { weight: 8, arbitrary: consume },
  { weight: 12, arbitrary: stop },
  { weight: 6, arbitrary: pause },
  { weight: 4, arbitrary: reconnect },
  { weight: 1, arbitrary: crash },
  { weight: 1, arbitrary: cut },
)

/** Up to so many; `replayPath`: those of them that a run before has made. */
export function commands(most: number, replayPath: string | null) {
  return fc.commands([any], {
    maxCommands: most,
    size: 'max',
    ...(replayPath === null ? {} : { replayPath }),
  })
}
