import net, { type Server, type Socket } from 'node:net'
import { freePorts } from '../net/ports.ts'
import { noFaults, type Direction } from './faults.ts'
import { pipe, type Pipe } from './pipe.ts'

/** A TCP proxy in front of a broker that does what networks do. Faults add up until `heal()`. */
export interface FaultProxy {
  readonly host: string
  readonly port: number
  /** Resets (RST) every open connection; new ones are accepted. */
  cut(): void
  /** Ends (FIN) every open connection; new ones are accepted. */
  end(): void
  /**
   * Nothing passes any more, nobody is told: neither on open connections nor on new ones, which are accepted and stay
   * silent. 'up': what clients send; 'down': what they receive. Healed, it hands over what was held.
   */
  blackHole(direction?: 'both' | Direction): void
  /** Each byte arrives this much later, in both directions. */
  delay(ms: number): void
  /** For each connection and direction. */
  throttle(bytesPerSecond: number): void
  /**
   * Lets this many more bytes pass, counted over all connections and both directions, then resets every connection:
   * in the middle of a frame. Happens once.
   */
  cutAfter(bytes: number): void
  /** New connections are refused; open ones stay. */
  refuse(): void
  /** Ends all faults. */
  heal(): void
  /** Open connections of clients. */
  connections(): number
  /** How often every connection was reset, by `cut` or after `cutAfter`. */
  cuts(): number
  /** Resets what is open and stops listening. */
  close(): Promise<void>
}

export interface ProxyOptions {
  /** Port to listen on. Default: a free one. */
  port?: number
}

interface Link {
  client: Socket
  upstream: Socket
  pipes: readonly Pipe[]
}

const host = '127.0.0.1'

/** A socket that was ended cannot be reset any more: trying leaks its handle. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** Starts a proxy on loopback that forwards every connection to `upstream`. */
export async function faultProxy(
  upstream: { host: string; port: number },
  options: ProxyOptions = {},
): Promise<FaultProxy> {
  const faults = noFaults()
  const links = new Set<Link>()
  const port = options.port ?? (await freePorts(1))[0] ?? 0
  let cuts = 0
  let closed = false
  let refusing = false
  let closing: Promise<void> | null = null
  let server = await listen()

  function accept(client: Socket): void {
    const onward = net.connect({ ...upstream, allowHalfOpen: true })
    client.setNoDelay(true)
    onward.setNoDelay(true)
    const pipes = [pipe(client, onward, 'up', faults, cut), pipe(onward, client, 'down', faults, cut)]
    const link: Link = { client, upstream: onward, pipes }
    links.add(link)
    const part = (): void => {
      if (!client.destroyed || !onward.destroyed) return
      for (const one of pipes) one.close()
      links.delete(link)
    }
    client.on('close', part)
    onward.on('close', part)
  }

  async function listen(): Promise<Server> {
    const fresh = listener()
    await new Promise<void>((resolve, reject) => {
      fresh.once('listening', resolve)
      fresh.once('error', reject)
    })
    return fresh
  }

  function listener(): Server {
    // Half-open: an end in one direction must not end the other.
    return net.createServer({ allowHalfOpen: true }, accept).listen({ port, host })
  }

  function cut(): void {
    cuts++
    faults.remaining = undefined
    for (const { client, upstream: onward, pipes } of links) {
      for (const one of pipes) one.close()
      reset(client)
      reset(onward)
    }
  }

  async function stop(): Promise<void> {
    closed = true
    cut()
    if (refusing) return
    // Healed just now, it may not listen yet, and would be left listening for ever.
    if (!server.listening)
      await new Promise((resolve) => server.once('listening', resolve).once('error', resolve))
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  function wake(): void {
    for (const link of links) for (const one of link.pipes) one.wake()
  }

  return {
    host,
    port,
    cut,
    end: () => {
      for (const { client, upstream: onward } of links) {
        client.end()
        onward.end()
      }
    },
    blackHole: (direction = 'both') => {
      if (direction !== 'down') faults.held.up = true
      if (direction !== 'up') faults.held.down = true
      wake()
    },
    delay: (ms) => {
      faults.delayMs = ms
    },
    throttle: (bytesPerSecond) => {
      if (!(bytesPerSecond > 0)) throw new RangeError('throttle takes a positive number of bytes per second')
      faults.bytesPerSecond = bytesPerSecond
    },
    cutAfter: (bytes) => {
      if (!(bytes >= 1)) throw new RangeError('cutAfter takes a number of bytes of at least 1; see cut()')
      faults.remaining = Math.floor(bytes)
    },
    refuse: () => {
      refusing = true
      server.close()
    },
    heal: () => {
      Object.assign(faults, noFaults())
      wake()
      if (!refusing || closed) return
      refusing = false
      server = listener()
      server.on('error', () => undefined)
    },
    connections: () => [...links].filter(({ client }) => !client.destroyed).length,
    cuts: () => cuts,
    close: () => (closing ??= stop()),
  }
}
