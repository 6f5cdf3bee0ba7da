import { once } from 'node:events'
import net, { type Socket } from 'node:net'

export interface Client {
  readonly socket: Socket
  send(text: string | Buffer): void
  /** Resolves when `count` bytes in all have arrived. */
  receive(count: number): Promise<Buffer>
  received(): Buffer
  /** Resolves with the code of the error that ended it, or 'ended' for an orderly end. */
  readonly over: Promise<string>
}

export async function connect(port: number): Promise<Client> {
  const socket = net.connect({ host: '127.0.0.1', port })
  let received = Buffer.alloc(0)
  const waiting: { count: number; resolve: (bytes: Buffer) => void }[] = []
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    for (const { count, resolve } of waiting) if (received.length >= count) resolve(received)
  })
  const over = new Promise<string>((resolve) => {
    socket.on('end', () => resolve('ended'))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('close', () => resolve('closed'))
  })
  await once(socket, 'connect')
  return {
    socket,
    send: (text) => void socket.write(text),
    receive: (count) =>
      new Promise((resolve) => {
        if (received.length >= count) resolve(received)
        else waiting.push({ count, resolve })
      }),
    received: () => received,
    over,
  }
}
