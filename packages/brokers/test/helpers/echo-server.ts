import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'

export interface EchoServer {
  readonly host: string
  readonly port: number
  /** Everything it has received on all connections. */
  received(): Buffer
  close(): Promise<void>
}

/** Sends every byte back; ends when the other side ends. */
export async function echoServer(): Promise<EchoServer> {
  const sockets = new Set<Socket>()
  let received = Buffer.alloc(0)
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      socket.write(chunk)
    })
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    received: () => received,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
