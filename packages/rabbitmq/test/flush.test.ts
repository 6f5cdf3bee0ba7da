import { describe, expect, it } from '@jest/globals'
import type { Channel } from 'amqplib'
import type { Connection, Role } from '../src/connection.ts'
import { flush } from '../src/flush.ts'

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
