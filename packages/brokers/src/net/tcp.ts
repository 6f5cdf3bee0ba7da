import net from 'node:net'

/** A server that does its work answers at once; on a busy machine that may take seconds. */
export const ANSWER_MS = 10_000

/** Rejects when nothing accepts a connection at the address within `timeoutMs`. */
export function tcpAnswers(host: string, port: number, timeoutMs = ANSWER_MS): Promise<true> {
  return exchange(host, port, '', () => true, timeoutMs)
}

/**
 * Connects, sends `hello`, and hands everything received so far to `parse` until that returns something other than
 * undefined. An empty hello asks `parse` as soon as the connection stands.
 */
export function exchange<T>(
  host: string,
  port: number,
  hello: string | Buffer,
  parse: (received: Buffer) => T | undefined,
  timeoutMs = ANSWER_MS,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port })
    let received = Buffer.alloc(0)
    const finish = (settle: () => void): void => {
      socket.destroy()
      settle()
    }
    const look = (): void => {
      try {
        const result = parse(received)
        if (result !== undefined) finish(() => resolve(result))
      } catch (error) {
        finish(() => reject(error))
      }
    }
    socket.setTimeout(timeoutMs, () =>
      finish(() => reject(new Error(`${host}:${port} did not answer within ${timeoutMs} ms`))),
    )
    socket.on('connect', () => (hello.length === 0 ? look() : void socket.write(hello)))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      look()
    })
    socket.on('error', (error) => finish(() => reject(error)))
    socket.on('close', () => reject(new Error(`${host}:${port} closed the connection`)))
  })
}
