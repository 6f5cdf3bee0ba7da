import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, it } from '@jest/globals'

it('a module that never loads does not outlive its time when the program that checks it is killed', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = once(server, 'connection') as Promise<[Socket]>
  const program = fileURLToPath(new URL('./programs/registers-never.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@mq/source', '--import', 'tsx', program], {
    env: { ...process.env, NODE_OPTIONS: '', WATCH_PORT: String((server.address() as AddressInfo).port) },
    stdio: 'ignore',
  })
  const [socket] = await connection
  child.kill('SIGKILL')
  socket.on('error', () => undefined).resume()
  await once(socket, 'close')
  server.close()
  expect(child.killed).toBe(true)
}, 120_000)
