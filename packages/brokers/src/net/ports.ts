import net from 'node:net'

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
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

/** The port asked for, or free ones; `given` counts upwards. */
export async function choosePorts(count: number, given: number | undefined): Promise<number[]> {
  return given === undefined ? freePorts(count) : Array.from({ length: count }, (_, index) => given + index)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
