import { randomUUID } from 'node:crypto'
import channels from '@moleculer/channels'
import { type Middleware, ServiceBroker } from 'moleculer'
import { body } from './bodies.ts'
import type { Side } from './side.ts'

type Reading = ReturnType<typeof body>

/** A service broker with channels on it: this is what moleculer adds to a broker of a class of its own. */
type ChannelBroker = ServiceBroker & {
  sendToChannel(name: string, payload: unknown): Promise<unknown>
}

export interface MoleculerOptions {
  /** Of the middleware: `{ type: 'Redis', options }`, or an adapter. */
  readonly adapter: () => object
  /** Further options of the channel, e.g. where its group begins. */
  readonly channel?: object
  readonly weaker?: string
  readonly lacks?: readonly string[]
  /** Makes what a message needs that is published before anyone has consumed. */
  readonly prepare?: (name: string) => Promise<unknown>
  /** Tells the server how many may be under way, where the channel's own option is not heeded. */
  readonly fetch?: (count: number) => Promise<unknown>
  /** Whether a message is published although `sendToChannel` rejected. */
  readonly published?: (error: Error) => boolean
  /** Removes what the channel left on the server. */
  readonly remove: (name: string) => Promise<unknown>
}

/** @moleculer/channels. It has no batches: each message is published by itself. Its concurrency is what it fetches. */
export function moleculerSide(options: MoleculerOptions): Side {
  const { adapter, channel, weaker, lacks, prepare, fetch, published, remove } = options
  return {
    name: '@moleculer/channels',
    ...(weaker === undefined ? {} : { weaker }),
    ...(lacks === undefined ? {} : { lacks }),
    async open(bytes) {
      const name = `moleculer-${randomUUID()}`
      const broker = new ServiceBroker({
        logger: false,
        metrics: false,
        middlewares: [channels.Middleware({ adapter: adapter() } as never) as unknown as Middleware],
      }) as ChannelBroker
      await broker.start()
      await prepare?.(name)
      const publish = (i: number) =>
        broker.sendToChannel(name, body(i, bytes)).catch((error: Error) => {
          if (published?.(error) !== true) throw error
        })
      return {
        publish,
        publishBatch: (from, count) =>
          Promise.all(Array.from({ length: count }, (_, n) => publish(from + n))),
        async consume(arrived, { concurrency, prefetch }) {
          const maxInFlight = Math.min(concurrency, prefetch)
          await fetch?.(maxInFlight)
          broker.createService({
            name: 'bench',
            channels: {
              [name]: {
                group: 'bench',
                maxInFlight,
                ...channel,
                handler: async (payload: Reading) => arrived(payload.i),
              },
            },
          })
          // It asks once a second otherwise.
          await broker.waitForServices(['bench'], 30_000, 5)
        },
        async close() {
          await broker.stop()
          await remove(name)
        },
      }
    },
  }
}
