import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { startBroker, type RunningBroker } from '../../src/index.ts'
import { respCommand } from '../../src/net/resp.ts'
import { waitUntil } from '../../src/wait.ts'
import { tlsHandshake } from '../helpers/tls-handshake.ts'

const portOf = (url: string | undefined): number => Number(new URL(url ?? '').port)

describe('a Redis cluster', () => {
  let cluster: RunningBroker

  beforeAll(async () => {
    cluster = await startBroker('redis-cluster')
  }, 300_000)

  afterAll(() => cluster.stop(), 60_000)

  it('has three masters that own all slots, and a replica of each', async () => {
    expect(cluster.urls).toHaveLength(6)
    expect(await cluster.run('CLUSTER', 'INFO')).toContain('cluster_slots_ok:16384')
    const nodes = (await cluster.run('CLUSTER', 'NODES')).split('\n')
    expect(nodes.filter((line) => /\bmaster\b/.test(line))).toHaveLength(3)
    expect(nodes.filter((line) => /\bslave\b/.test(line))).toHaveLength(3)
  })

  it('redirects, and follows when asked', async () => {
    await expect(cluster.run('SET', 'foo', '1')).rejects.toThrow('MOVED')
    expect(await cluster.run('-c', 'SET', 'foo', '1')).toBe('OK')
  })

  it('promotes a replica when a master dies, and takes the old one back as a replica', async () => {
    await cluster.kill(0)
    const survivor = { host: '127.0.0.1', port: portOf(cluster.urls[1]) }
    // Its slots are another's: nothing follows the state of its link.
    const lostAll = /master,fail .* disconnected$/m
    const promoted = await waitUntil(async () => {
      const info = await respCommand(survivor, 'CLUSTER', 'INFO')
      return (
        info.includes('cluster_state:ok') && lostAll.test(await respCommand(survivor, 'CLUSTER', 'NODES'))
      )
    }, 60_000)
    expect(promoted).toBe(true)
    // Somebody who runs answers for the cluster.
    expect(await cluster.run('-c', 'SET', 'bar', '1')).toBe('OK')
    await cluster.start(0)
    const back = { host: '127.0.0.1', port: portOf(cluster.urls[0]) }
    const follows = async (): Promise<boolean> =>
      (await respCommand(back, 'INFO', 'replication')).includes('role:slave')
    expect(await waitUntil(follows, 60_000)).toBe(true)
  }, 180_000)
})

describe('a Redis cluster with TLS and users', () => {
  it('answers over TLS and announces its TLS ports there', async () => {
    const cluster = await startBroker('redis-cluster', { tls: true, acl: true, replicas: 0 })
    try {
      const { username, password } = new URL(cluster.url)
      const hello = `AUTH ${username} ${password}\r\nCLUSTER SLOTS\r\n`
      const ca = readFileSync(cluster.details['caPath'] ?? '')
      const ports = (cluster.details['tlsUrls'] ?? '').split(',').map(portOf)
      expect(ports).toHaveLength(3)
      const answer = (await tlsHandshake(ports[0] ?? 0, hello, { ca })).toString()
      for (const port of ports) expect(answer).toContain(`:${port}\r\n`)
      await expect(respCommand({ host: '127.0.0.1', port: portOf(cluster.url) }, 'PING')).rejects.toThrow(
        'NOAUTH',
      )
    } finally {
      await cluster.stop()
    }
  }, 60_000)
})
