import { once } from 'node:events'
import tls from 'node:tls'

/** Connects with TLS, sends `hello`, and resolves with the first bytes of the answer. */
export async function tlsHandshake(
  port: number,
  hello: string | Buffer,
  options: tls.ConnectionOptions,
): Promise<Buffer> {
  const socket = tls.connect({ host: '127.0.0.1', port, ...options })
  try {
    await once(socket, 'secureConnect')
    socket.write(hello)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return answer
  } finally {
    socket.destroy()
  }
}
