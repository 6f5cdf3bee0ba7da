import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startBroker, type RunningBroker } from '../../src/index.ts'
import { respCommand } from '../../src/net/resp.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'
import { waitUntil } from '../../src/wait.ts'

describe('Redis with sentinels', () => {
  let sentinel: RunningBroker

  beforeAll(async () => {
    sentinel = await startBroker('redis-sentinel')
  }, 300_000)

  afterAll(() => sentinel.stop(), 60_000)

  const ports = (): number[] =>
    (sentinel.details['sentinels'] ?? '').split(',').map((address) => Number(address.split(':')[1]))

  /** Port of the master, by what a sentinel says. */
  async function master(sentinelPort: number): Promise<number> {
    const text = await respCommand({ host: '127.0.0.1', port: sentinelPort }, 'INFO', 'sentinel')
    return Number(/address=127\.0\.0\.1:(\d+)/.exec(text)?.[1])
  }

  it('has a master with a replica, known to three sentinels that know each other', async () => {
    expect(await sentinel.run('INFO', 'replication')).toContain('connected_slaves:1')
    expect(ports()).toHaveLength(3)
    for (const port of ports()) {
      const text = await respCommand({ host: '127.0.0.1', port }, 'INFO', 'sentinel')
      expect(text).toContain(`name=${sentinel.details['masterName'] ?? ''}`)
      expect(text).toContain('slaves=1,sentinels=3')
    }
  })

  it('fails over when the master dies, even with one sentinel dead', async () => {
    const before = await master(ports()[0] ?? 0)
    expect(sentinel.url).toBe(`redis://127.0.0.1:${before}`)
    // Nodes: master, replica, three sentinels.
    await sentinel.kill(4)
    await expect(tcpAnswers('127.0.0.1', ports()[2] ?? 0)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await sentinel.kill(0)
    const replica = Number(new URL(sentinel.urls[1] ?? '').port)
    expect(await waitUntil(async () => (await master(ports()[0] ?? 0)) === replica, 60_000, 100)).toBe(true)
    const promoted = async (): Promise<boolean> =>
      (await respCommand({ host: '127.0.0.1', port: replica }, 'INFO', 'replication')).includes('role:master')
    expect(await waitUntil(promoted, 20_000)).toBe(true)
  }, 180_000)

  it('has a TLS variant, in which sentinels name the TLS ports', async () => {
    const secure = await startBroker('redis-sentinel', { tls: true })
    try {
      const port = Number(/:(\d+)/.exec(secure.details['sentinels'] ?? '')?.[1])
      const ca = readFileSync(secure.details['caPath'] ?? '')
      const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' })
      await once(socket, 'secureConnect')
      socket.write(`SENTINEL GET-MASTER-ADDR-BY-NAME ${secure.details['masterName'] ?? ''}\r\n`)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      socket.destroy()
      expect(String(answer)).toContain(new URL(secure.details['tlsUrl'] ?? '').port)
      expect(await secure.run('INFO', 'replication')).toContain('connected_slaves:1')
    } finally {
      await secure.stop()
    }
  }, 180_000)
})
