import type { MessageQueue } from '../src/message-queue.ts'

export interface FakeQueue {
  readonly queue: MessageQueue
  /** What was called, in order. */
  readonly calls: string[]
  connected: boolean
  /** What `connect` (or `startConsuming`, or `disconnect`) does besides; may throw or wait. */
  connect: () => Promise<void>
  startConsuming: () => Promise<void>
  disconnect: () => Promise<void>
  health: () => Promise<{ healthy: boolean; error?: string }>
  abandoned: string[]
  stats: Record<string, number>
}

/** A queue that does as it is told, to see what a manager does with it. */
export function fakeQueue(handlers: string[] = [], changes: Partial<FakeQueue> = {}): FakeQueue {
  const consuming = new Set<string>()
  const fake: FakeQueue = {
    calls: [],
    connected: false,
    connect: async () => undefined,
    startConsuming: async () => undefined,
    disconnect: async () => undefined,
    health: async () => ({ healthy: fake.connected }),
    abandoned: [],
    stats: {},
    ...changes,
    queue: {
      connect: async () => {
        fake.calls.push('connect')
        await fake.connect()
        fake.connected = true
      },
      disconnect: async (options: object) => {
        fake.calls.push(`disconnect ${JSON.stringify(options ?? {})}`)
        await fake.disconnect()
        fake.connected = false
        consuming.clear()
        return { drained: fake.abandoned.length === 0, abandoned: fake.abandoned }
      },
      startConsuming: async (ref: string | { topic: string; name: string }) => {
        const label = typeof ref === 'string' ? ref : `${ref.topic}/${ref.name}`
        fake.calls.push(`consume ${label}`)
        await fake.startConsuming()
        consuming.add(label)
        return {
          stop: async () => {
            fake.calls.push(`stop ${label}`)
            consuming.delete(label)
          },
        }
      },
      send: async (message: { id?: string }, options: object) => {
        fake.calls.push(`send ${JSON.stringify(options)}`)
        return message.id ?? 'new'
      },
      healthCheck: () => fake.health(),
      getStats: () => ({
        isConnected: fake.connected,
        registeredHandlers: handlers,
        activeQueues: [...consuming],
        consumerCount: consuming.size,
        messagesSent: 0,
        messagesReceived: 0,
        messagesFailed: 0,
        ...fake.stats,
      }),
    } as unknown as MessageQueue,
  }
  return fake
}
