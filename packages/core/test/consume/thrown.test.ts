import { describe, expect, it } from '@jest/globals'
import { MessageQueueFactory, MessageQueueManager } from '../../src/index.ts'

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

/** Whatever a handler can throw: nothing of it may end the process or keep a slot. */
const thrown: readonly (readonly [string, unknown])[] = [
  ['nothing', undefined],
  ['null', null],
  ['a symbol', Symbol('no')],
  ['an object without a prototype', Object.create(null)],
  ['an object whose message has no text', { message: Object.create(null) as unknown }],
  ['an error with an object for a message', Object.assign(new Error('x'), { message: { status: 500 } })],
  ['an error without a message', Object.assign(new Error('x'), { message: undefined })],
  ['an error with a number for a name', Object.assign(new Error('x'), { name: 5 })],
  ['an error with an object for a stack', Object.assign(new Error('x'), { stack: {} })],
  ['an error whose message throws', Object.defineProperty(new Error('x'), 'message', { get: revoked })],
  ['a proxy that is revoked', revoked()],
]

it('what a handler answers may refuse to be looked at: its run has failed', async () => {
  await using queue = MessageQueueFactory.createForTesting()
  await queue.connect()
  const answer = Object.defineProperty({}, 'then', {
    get: () => {
      throw new Error('no')
    },
  })
  await queue.consume('q', () => answer as never, { retry: { maxRetries: 0 } })
  await queue.send('q', 'x')
  const letters = queue.deadLetters('q')
  while ((await letters.count()) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(queue.getStats().inFlight).toBe(0)
})

describe.each(['at once', 'later'])('what a handler throws %s', (when) => {
  it.each(thrown)('may be %s: the message is tried again, then dead-lettered', async (_, value) => {
    await using queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    let runs = 0
    await queue.consume(
      'q',
      when === 'later'
        ? async () => {
            runs++
            await Promise.resolve()
            throw value
          }
        : () => {
            runs++
            throw value
          },
      { retry: { maxRetries: 1, delayMs: 1 } },
    )
    await queue.send('q', 'x')
    const letters = queue.deadLetters('q')
    while ((await letters.count()) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const [letter] = (await letters.list()).messages
    expect(runs).toBe(2)
    expect(typeof letter?.deadLetter?.error?.message).toBe('string')
    expect(queue.getStats().inFlight).toBe(0)
  })
})

describe('a logger that throws', () => {
  const broken = () => {
    throw new Error('disk full')
  }
  const logger = { debug: broken, info: broken, warn: broken, error: broken }

  it('keeps no message from being sent, handled, tried again, dead-lettered and given up', async () => {
    const queue = MessageQueueFactory.createForTesting({ logger })
    const manager = new MessageQueueManager({}, { logger })
    manager.addQueue('q', queue)
    queue.on('deadLetter', broken)
    let runs = 0
    queue.registerFunctionHandler(
      'q',
      () => {
        runs++
        throw new Error('no')
      },
      { retry: { maxRetries: 1, delayMs: 1 } },
    )
    await manager.start()
    await queue.send('q', 'x')
    const letters = queue.deadLetters('q')
    while ((await letters.count()) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(runs).toBe(2)
    expect(queue.getStats().inFlight).toBe(0)
    await expect(manager.stop()).resolves.toEqual({ drained: true, abandoned: [] })
  })
})
