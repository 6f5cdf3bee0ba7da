import net from 'node:net'
import { ANSWER_MS } from './tcp.ts'

const startOk = 0x000a_000b
const tune = 0x000a_001e
const tuneOk = 0x000a_001f
const open = 0x000a_0028
const openOk = 0x000a_0029
const close = 0x000a_0032

export interface AmqpLogin {
  host: string
  port: number
  username: string
  password: string
  vhost: string
}

/**
 * Logs in to an AMQP 0-9-1 server and opens the virtual host: a server that answers this does its work. Resolves with
 * the version that the server states.
 */
export function amqpLogin(login: AmqpLogin, timeoutMs = ANSWER_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: login.host, port: login.port })
    let received = Buffer.alloc(0)
    let version = 'unknown'
    const fail = (message: string): void => {
      socket.destroy()
      reject(new Error(message))
    }
    socket.setTimeout(timeoutMs, () => fail(`no AMQP answer within ${timeoutMs} ms`))
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('the server closed the connection'))
    socket.on('connect', () => socket.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1')))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      for (;;) {
        if (received.length < 7) return
        const size = received.readUInt32BE(3)
        if (received.length < size + 8) return
        const payload = received.subarray(7, 7 + size)
        received = received.subarray(size + 8)
        answer(payload)
      }
    })

    function answer(payload: Buffer): void {
      const method = payload.readUInt32BE(0)
      if (method === 0x000a_000a) {
        version = /version\u0053....([\d.a-z+-]+)/s.exec(payload.toString('latin1'))?.[1] ?? version
        const response = `\0${login.username}\0${login.password}`
        send(startOk, Buffer.alloc(4), short('PLAIN'), long(response), short('en_US'))
      } else if (method === tune) {
        send(tuneOk, payload.subarray(4, 10), Buffer.alloc(2))
        send(open, short(login.vhost), short(''), Buffer.alloc(1))
      } else if (method === openOk) {
        resolve(version)
        socket.destroy()
      } else if (method === close) {
        const length = payload.readUInt8(6)
        fail(payload.toString('utf8', 7, 7 + length))
      }
    }

    function send(method: number, ...parts: Buffer[]): void {
      const head = Buffer.alloc(11)
      const body = Buffer.concat(parts)
      head.writeUInt8(1, 0)
      head.writeUInt32BE(body.length + 4, 3)
      head.writeUInt32BE(method, 7)
      socket.write(Buffer.concat([head, body, Buffer.from([0xce])]))
    }
  })
}

function short(text: string): Buffer {
  return Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)])
}

function long(text: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(Buffer.byteLength(text))
  return Buffer.concat([length, Buffer.from(text)])
}
