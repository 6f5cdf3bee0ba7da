import tls from 'node:tls'

/**
 * Connects with TLS, sends `hello`, and resolves with the first bytes of the answer. A server may refuse a client after the client's own
 * handshake is over, at any time from then on.
 */
export async function tlsHandshake(
  port: number,
  hello: string | Buffer,
  options: tls.ConnectionOptions,
): Promise<Buffer> {
  const socket = tls.connect({ host: '127.0.0.1', port, ...options })
  try {
    return await new Promise((resolve, reject) => {
      socket.on('secureConnect', () => socket.write(hello))
      socket.on('data', resolve)
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('the server closed the connection')))
    })
  } finally {
    socket.destroy()
  }
}
