import net from 'node:net'
import { brokerError } from '../errors.ts'

// Below 32768, where Linux takes ports for outgoing connections: a client that reconnects to a dead server on such a
// port can be given that very port and connect to itself, and the server then cannot come back.
const lowest = 20_000
const highest = 32_000

/** `count` different TCP ports that nothing listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > 1000) throw new Error('no free TCP port between 20000 and 32000')
    const port = lowest + Math.floor(Math.random() * (highest - lowest))
    if (!ports.has(port) && (await problemOf(port)) === undefined) ports.add(port)
  }
  return [...ports]
}

/**
 * The port asked for, or free ones; `given` counts upwards. Rejects with BROKER_START_FAILED when one of those given is in use: what
 * answers there would be taken for the new server. `uses` says which of them the server will listen on; by default all.
 */
export async function choosePorts(
  count: number,
  given: number | undefined,
  uses: (index: number) => boolean = () => true,
): Promise<number[]> {
  if (given === undefined) return freePorts(count)
  const ports = Array.from({ length: count }, (_, index) => given + index)
  for (const port of ports.filter((_, index) => uses(index))) {
    const problem = await problemOf(port)
    if (problem !== undefined) throw brokerError('BROKER_START_FAILED', `port ${port}: ${problem}`)
  }
  return ports
}

/** Why nothing can listen on it; undefined when something can. */
function problemOf(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', (error) => resolve(error.message))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
