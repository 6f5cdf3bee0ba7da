import { describe, expect, it, jest } from '@jest/globals'
import { ErrorCode } from '../../src/error-codes.ts'
import { MessageQueueError } from '../../src/errors.ts'
import { Message } from '../../src/message/message.ts'
import { composeProcess, composeSend } from '../../src/middleware/compose.ts'
import type { Middleware, ProcessNext, SendNext } from '../../src/middleware/types.ts'

const message = new Message({ id: 'm1', body: 1 })

function tracing(name: string, log: string[]): Middleware {
  return {
    name,
    process: async (_message: Message, next: ProcessNext) => {
      log.push(`${name} in`)
      const result = await next()
      log.push(`${name} out`)
      return result
    },
    send: async (_message: Message, next: SendNext) => {
      log.push(`${name} in`)
      const id = await next()
      log.push(`${name} out`)
      return id
    },
  }
}

describe('composeProcess', () => {
  it('runs the first added outermost and answers what the handler answered', async () => {
    const log: string[] = []
    const run = composeProcess([tracing('a', log), tracing('b', log)], async (received) => {
      log.push('handler')
      return received.body
    })
    expect(await run(message)).toBe(1)
    expect(log).toEqual(['a in', 'b in', 'handler', 'b out', 'a out'])
  })

  it('is the handler itself when no middleware has a process', () => {
    const core = async () => undefined
    expect(composeProcess([], core)).toBe(core)
    expect(composeProcess([{ name: 'sender', send: (_message, next) => next() }], core)).toBe(core)
  })

  it('hands what a call gives beside the message to the handler alone', async () => {
    const run = composeProcess<[number]>([tracing('a', [])], async (received, attempt) => [
      received.id,
      attempt,
    ])
    expect(await run(message, 1)).toEqual(['m1', 1])
    expect(await run(message, 2)).toEqual(['m1', 2])
  })

  it('passes a replacement on to everything further in', async () => {
    const replacement = new Message({ id: 'm2' })
    const seen: string[] = []
    const run = composeProcess(
      [
        { name: 'replaces', process: (_message, next) => next(replacement) },
        {
          name: 'looks',
          process: (received, next) => {
            seen.push(received.id)
            return next()
          },
        },
      ],
      async (received) => seen.push(received.id),
    )
    await run(message)
    expect(seen).toEqual(['m2', 'm2'])
  })

  it('refuses a replacement that is no message', async () => {
    const core = jest.fn(async () => undefined)
    const run = composeProcess([{ name: 'wrong', process: (_message, next) => next({} as Message) }], core)
    await expect(run(message)).rejects.toMatchObject({ code: ErrorCode.VALIDATION })
    expect(core).not.toHaveBeenCalled()
  })

  it('lets a middleware answer without the handler', async () => {
    const core = jest.fn(async () => 'handled')
    const run = composeProcess([{ name: 'cache', process: () => 'cached' }], core)
    expect(await run(message)).toBe('cached')
    expect(core).not.toHaveBeenCalled()
  })

  it('refuses a second next() and names the middleware, while the first run counts', async () => {
    const core = jest.fn(async () => undefined)
    const run = composeProcess(
      [{ name: 'eager', process: async (_message, next) => [await next(), await next()] }],
      core,
    )
    const error = await run(message).catch((thrown: unknown) => thrown)
    expect(MessageQueueError.is(error)).toBe(true)
    expect((error as Error).message).toContain('eager')
    expect(core).toHaveBeenCalledTimes(1)
  })

  it('lets what the handler throws reach the caller as it is, whatever it is', async () => {
    const thrown = { not: 'an error' }
    const log: string[] = []
    const run = composeProcess([tracing('a', log)], () => {
      throw thrown
    })
    await expect(run(message)).rejects.toBe(thrown)
    expect(log).toEqual(['a in'])
  })

  it('lets a middleware turn a failure into a result and a result into a failure', async () => {
    const forgiving: Middleware = {
      name: 'forgiving',
      process: (_message, next) => next().catch(() => 'forgiven'),
    }
    const failing = async () => {
      throw new Error('handler')
    }
    expect(await composeProcess([forgiving], failing)(message)).toBe('forgiven')
    const strict: Middleware = {
      name: 'strict',
      process: async (_message, next) => {
        await next()
        throw new Error('strict')
      },
    }
    await expect(composeProcess([strict], async () => 'fine')(message)).rejects.toThrow('strict')
  })

  it('waits for a next() that nobody awaited, and fails with it', async () => {
    let fail: (error: Error) => void = () => undefined
    const handler = new Promise<never>((_resolve, reject) => {
      fail = reject
    })
    let ended = false
    const run = composeProcess(
      [{ name: 'forgetful', process: (_message, next) => void next() }],
      () => handler,
    )
    const outcome = run(message).finally(() => {
      ended = true
    })
    await new Promise(setImmediate)
    expect(ended).toBe(false)
    fail(new Error('late'))
    await expect(outcome).rejects.toThrow('late')
  })

  it('keeps runs of different messages apart', async () => {
    const run = composeProcess([tracing('a', []), tracing('b', [])], async (received) => received.id)
    const messages = ['x', 'y', 'z'].map((id) => new Message({ id }))
    expect(await Promise.all(messages.map((each) => run(each)))).toEqual(['x', 'y', 'z'])
  })

  it('calls methods of a middleware on the middleware', async () => {
    class Counting implements Middleware {
      readonly name = 'counting'
      count = 0
      process(_message: Message, next: ProcessNext) {
        this.count++
        return next()
      }
    }
    const counting = new Counting()
    await composeProcess([counting], async () => undefined)(message)
    expect(counting.count).toBe(1)
  })
})

describe('composeSend', () => {
  it('runs in order and answers the id', async () => {
    const log: string[] = []
    const run = composeSend([tracing('a', log), tracing('b', log)], async (sent) => sent.id)
    expect(await run(message)).toBe('m1')
    expect(log).toEqual(['a in', 'b in', 'b out', 'a out'])
  })

  it('is the send itself when no middleware has a send', () => {
    const core = async () => 'id'
    expect(composeSend([{ name: 'processor', process: (_message, next) => next() }], core)).toBe(core)
  })

  it('lets a middleware refuse a message by throwing', async () => {
    const core = jest.fn(async () => 'id')
    const veto = new TypeError('veto')
    const refuses: Middleware = {
      name: 'refuses',
      send: () => {
        throw veto
      },
    }
    await expect(composeSend([refuses], core)(message)).rejects.toBe(veto)
    expect(core).not.toHaveBeenCalled()
  })

  it('answers the id of the send when a middleware returns nothing', async () => {
    const silent = {
      name: 'silent',
      send: async (_message: Message, next: SendNext) => {
        await next()
      },
    } as unknown as Middleware
    expect(await composeSend([silent], async (sent) => sent.id)(message)).toBe('m1')
  })

  it('refuses a middleware that neither sends nor answers an id', async () => {
    const lost = { name: 'lost', send: () => undefined } as unknown as Middleware
    await expect(composeSend([lost], async () => 'id')(message)).rejects.toThrow(/lost neither called next/)
  })
})
