import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import { ErrorCode } from '../src/error-codes.ts'
import type { Logger } from '../src/logger.ts'
import { recordingLogger } from './middleware/recording-logger.ts'

/** Installed packages, by name, in place of the real ones. */
const installed = new Map<string, Record<string, unknown>>()
const importPackage = jest.fn(async (name: string, purpose: string) => {
  const found = installed.get(name)
  if (found === undefined)
    throw new ConfigurationError(`${purpose} needs ${name}`, { code: ErrorCode.PACKAGE_MISSING })
  return found
})

jest.unstable_mockModule('../src/load-package.ts', () => ({
  importPackage,
  locatePackage: (name: string) => (installed.has(name) ? `/${name}` : null),
  installCommand: (name: string) => `npm install ${name}`,
}))
const { MessageQueueFactory, loadAdapter } = await import('../src/factory.ts')
const { MessageQueueConfig } = await import('../src/config/message-queue-config.ts')
const { memoryAdapter } = await import('../src/memory/index.ts')
const { AdapterError } = await import('../src/adapter/index.ts')
const { ConfigurationError } = await import('../src/errors.ts')

/** A package of a broker, whose adapters are in-memory ones. */
function install(broker: string) {
  const createAdapter = jest.fn((_config: unknown, _context: unknown) =>
    memoryAdapter({ url: `memory://${randomUUID()}` }),
  )
  installed.set(`@mq/${broker}`, { createAdapter })
  return createAdapter
}

beforeEach(() => {
  installed.clear()
  importPackage.mockClear()
})

describe('createQueue', () => {
  it('makes an in-memory queue that works, by default', async () => {
    await using queue = MessageQueueFactory.createQueue({ connection: { url: `memory://${randomUUID()}` } })
    expect(queue.config.broker).toBe('memory')
    await queue.connect()
    const id = await queue.send('orders', { n: 1 })
    const received = await queue.receive('orders', { timeoutMs: 1000 })
    expect(received).toMatchObject({ id, body: { n: 1 } })
    if (received !== null) await queue.acknowledge(received)
  })

  it('knows what an in-memory broker can do before it connects', () => {
    expect(MessageQueueFactory.createQueue().capabilities).toMatchObject({ durable: false, dedupe: 'broker' })
  })

  it('lets queues with one url talk, and no others', async () => {
    const url = `memory://${randomUUID()}`
    await using one = MessageQueueFactory.createQueue({ connection: { url } })
    await using two = MessageQueueFactory.createQueue({ connection: { url } })
    await using other = MessageQueueFactory.createQueue({ connection: { url: `${url}-other` } })
    await Promise.all([one.connect(), two.connect(), other.connect()])
    const id = await one.send('orders', 1)
    expect(await other.receive('orders')).toBeNull()
    const received = await two.receive('orders', { timeoutMs: 1000 })
    expect(received?.id).toBe(id)
  })

  it('loads the adapter package when it connects, not before', async () => {
    const createAdapter = install('redis')
    const { logger, lines } = recordingLogger()
    await using queue = MessageQueueFactory.createQueue({ broker: 'redis' }, { logger })
    expect(importPackage).not.toHaveBeenCalled()
    await queue.connect()
    expect(createAdapter).toHaveBeenCalledTimes(1)
    const [config, context] = createAdapter.mock.calls[0] as unknown as [unknown, { logger: Logger }]
    expect(config).toEqual(queue.config)
    context.logger.warn({}, 'of the adapter')
    expect(lines.map(({ text }) => text)).toContain('of the adapter')
    await queue.disconnect()
    await queue.connect()
    expect(createAdapter).toHaveBeenCalledTimes(1)
  })

  it('rejects connect when the package is missing, and works once it is there', async () => {
    await using queue = MessageQueueFactory.createQueue({ broker: 'kafka' })
    await expect(queue.connect()).rejects.toMatchObject({ code: ErrorCode.PACKAGE_MISSING })
    install('kafka')
    await queue.connect()
    expect((await queue.healthCheck()).healthy).toBe(true)
  })

  it('rejects connect when the package is no adapter', async () => {
    installed.set('@mq/rabbitmq', { createAdapter: 'no' })
    const queue = MessageQueueFactory.createQueue({ broker: 'rabbitmq' })
    await expect(queue.connect()).rejects.toMatchObject({
      code: ErrorCode.CONFIGURATION,
      message: expect.stringContaining('@mq/rabbitmq exports no createAdapter'),
    })
  })

  it('rejects connect with an error of its own when the package refuses its part of the configuration', async () => {
    install('redis').mockImplementation(() => {
      throw new AdapterError(ErrorCode.CONFIGURATION, 'no such port')
    })
    const queue = MessageQueueFactory.createQueue({ broker: 'redis' })
    await expect(queue.connect()).rejects.toBeInstanceOf(ConfigurationError)
  })

  it('refuses a wrong configuration at once', () => {
    expect(() => MessageQueueFactory.createQueue({ broker: 'nats' } as never)).toThrow(
      expect.objectContaining({ code: ErrorCode.CONFIGURATION }),
    )
  })
})

describe('createQueueFromEnv', () => {
  it('reads the environment it is given', () => {
    const queue = MessageQueueFactory.createQueueFromEnv({
      MESSAGE_BROKER: 'redis',
      REDIS_URL: 'redis://127.0.0.1:7000',
    })
    expect(queue.config).toMatchObject({ broker: 'redis', connection: { url: 'redis://127.0.0.1:7000' } })
  })

  it('makes an in-memory queue in an empty one, and refuses a wrong one', () => {
    expect(MessageQueueFactory.createQueueFromEnv({}).config.broker).toBe('memory')
    expect(() => MessageQueueFactory.createQueueFromEnv({ MESSAGE_BROKER: 'nats' })).toThrow(/MESSAGE_BROKER/)
  })
})

describe('createForTesting', () => {
  it('gives each call a broker of its own, which outlives the connection', async () => {
    await using one = MessageQueueFactory.createForTesting()
    await using two = MessageQueueFactory.createForTesting()
    await Promise.all([one.connect(), two.connect()])
    const id = await one.send('orders', 1)
    expect(await two.receive('orders')).toBeNull()
    await one.disconnect()
    await one.connect()
    expect((await one.receive('orders', { timeoutMs: 1000 }))?.id).toBe(id)
  })
})

describe('createWithFallback', () => {
  it('takes the preferred broker when its package is installed, although nothing answers there', () => {
    install('redis')
    const { logger, lines } = recordingLogger()
    const queue = MessageQueueFactory.createWithFallback(
      { broker: 'redis', connection: { url: 'redis://127.0.0.1:1' } },
      { broker: 'memory' },
      { logger },
    )
    expect(queue.config.broker).toBe('redis')
    expect(lines).toEqual([])
  })

  it('falls back with a warning when it is not', () => {
    const { logger, lines } = recordingLogger()
    const queue = MessageQueueFactory.createWithFallback('redis', 'memory', { logger })
    expect(queue.config.broker).toBe('memory')
    expect(lines).toMatchObject([{ level: 'warn', fields: { preferred: 'redis', fallback: 'memory' } }])
    expect(lines[0]?.text).toContain('@mq/redis is not installed')
  })

  it('refuses a wrong preferred configuration in place of falling back', () => {
    expect(() =>
      MessageQueueFactory.createWithFallback(
        { broker: 'redis', connection: { port: -1 } },
        { broker: 'memory' },
      ),
    ).toThrow(expect.objectContaining({ code: ErrorCode.CONFIGURATION }))
  })
})

describe('getAvailableBrokers and validateBrokerAvailability', () => {
  it('know memory always and the others by their package', () => {
    expect(MessageQueueFactory.getAvailableBrokers()).toEqual(['memory'])
    install('kafka')
    expect(MessageQueueFactory.getAvailableBrokers()).toEqual(['memory', 'kafka'])
    expect(MessageQueueFactory.validateBrokerAvailability('kafka')).toBe(true)
    expect(MessageQueueFactory.validateBrokerAvailability('redis')).toBe(false)
  })

  it('know no broker by another name, whatever is installed', () => {
    installed.set('@mq/codecs', {})
    for (const name of ['codecs', 'nats', '', '__proto__']) {
      expect(MessageQueueFactory.validateBrokerAvailability(name)).toBe(false)
    }
  })
})

describe('loadAdapter', () => {
  it('makes an in-memory adapter without any package', async () => {
    const { logger } = recordingLogger()
    const adapter = await loadAdapter(MessageQueueConfig.parse({}), { logger })
    expect(adapter.broker).toBe('memory')
    expect(importPackage).not.toHaveBeenCalled()
  })
})
