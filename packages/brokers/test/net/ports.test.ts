import { afterEach, describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import net from 'node:net'
import { choosePorts, freePorts } from '../../src/net/ports.ts'

const closing: net.Server[] = []
afterEach(() => closing.splice(0).forEach((server) => server.close()))

async function listen(port: number, host: string): Promise<void> {
  const server = net.createServer()
  closing.push(server)
  server.listen(port, host)
  await once(server, 'listening')
}

describe('choosePorts', () => {
  it('counts upwards from a given port', async () => {
    const [port = 0] = await freePorts(1)
    expect(await choosePorts(1, port)).toEqual([port])
  })

  it.each(['127.0.0.1', '0.0.0.0'])('refuses a given port that is in use at %s', async (host) => {
    const [port = 0] = await freePorts(1)
    await listen(port, host)
    const refused = choosePorts(1, port)
    await expect(refused).rejects.toMatchObject({ code: 'BROKER_START_FAILED' })
    await expect(refused).rejects.toThrow(`address already in use 127.0.0.1:${port}`)
  })

  it('does not mind those that nothing will listen on', async () => {
    const [port = 0] = await freePorts(1)
    await listen(port, '127.0.0.1')
    expect(await choosePorts(1, port, () => false)).toEqual([port])
  })
})
