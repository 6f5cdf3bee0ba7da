import { describe, expect, it } from '@jest/globals'
import type { Channel } from 'amqplib'
import type { Connection, Role } from '../src/connection.ts'
import { flush, flushGot } from '../src/flush.ts'

describe('flush', () => {
  it('asks by the socket that may: nobody else may ask about an exclusive queue', async () => {
    const roles: (Role | undefined)[] = []
    const connection = {
      rpc: (call: Promise<unknown>) => call,
      admin: (_call: unknown, role?: Role) => Promise.resolve(void roles.push(role)),
    } as unknown as Connection
    const channel = { prefetch: () => Promise.resolve() } as unknown as Channel
    await flush(connection, channel, 'q', 1, 'consume')
    expect(new Set(roles)).toEqual(new Set(['consume']))
  })
})

describe('flushGot', () => {
  it('goes on for as long as the server takes settlements, of many', async () => {
    const counts = [90, 90, 90, 90, 90, 90, 60, 60, 60, 30, 30, 1]
    let asked = 0
    const connection = {
      rpc: (call: Promise<unknown>) => call,
      admin: () => Promise.resolve({ consumerCount: counts[asked++] ?? 1 }),
    } as unknown as Connection
    const channel = { prefetch: () => Promise.resolve() } as unknown as Channel
    await flushGot(connection, channel, 'q', 20, 'admin')
    expect(asked).toBeLessThan(counts.length)
    await flushGot(connection, channel, 'q', 40, 'admin')
    expect(asked).toBeGreaterThan(counts.length)
  })
})
