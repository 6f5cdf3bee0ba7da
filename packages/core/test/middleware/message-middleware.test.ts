import { describe, expect, it } from '@jest/globals'
import { Message } from '../../src/message/message.ts'
import { composeProcess, composeSend } from '../../src/middleware/compose.ts'
import { MessageMiddleware, toMiddleware } from '../../src/middleware/message-middleware.ts'
import type { Middleware } from '../../src/middleware/types.ts'
import { recordingLogger } from './recording-logger.ts'

const message = new Message({ id: 'm1' })

class Recording extends MessageMiddleware {
  readonly calls: unknown[][] = []
  override beforeProcess(received: Message): unknown {
    return void this.calls.push(['beforeProcess', received.id])
  }
  override async afterProcess(received: Message, result: unknown) {
    this.calls.push(['afterProcess', received.id, result])
  }
  override onError(received: Message, error: unknown) {
    this.calls.push(['onError', received.id, error])
  }
  override async beforeSend(sent: Message): Promise<unknown> {
    return void this.calls.push(['beforeSend', sent.id])
  }
  override afterSend(sent: Message, id: string) {
    this.calls.push(['afterSend', sent.id, id])
  }
  override onSendError(sent: Message, error: unknown) {
    this.calls.push(['onSendError', sent.id, error])
  }
}

describe('MessageMiddleware', () => {
  it('is called before and after a handler that succeeds', async () => {
    const recording = new Recording()
    expect(await composeProcess([toMiddleware(recording)], async () => 'result')(message)).toBe('result')
    expect(recording.calls).toEqual([
      ['beforeProcess', 'm1'],
      ['afterProcess', 'm1', 'result'],
    ])
  })

  it('hears what the handler threw, which goes on as it is', async () => {
    const recording = new Recording()
    const run = composeProcess([toMiddleware(recording)], async () => {
      throw 'text'
    })
    await expect(run(message)).rejects.toBe('text')
    expect(recording.calls.at(-1)).toEqual(['onError', 'm1', 'text'])
  })

  it('is called around a send, and hears its failure', async () => {
    const recording = new Recording()
    expect(await composeSend([toMiddleware(recording)], async () => 'id1')(message)).toBe('id1')
    const failure = new Error('refused')
    const failing = composeSend([toMiddleware(recording)], async () => Promise.reject(failure))
    await expect(failing(message)).rejects.toBe(failure)
    expect(recording.calls).toEqual([
      ['beforeSend', 'm1'],
      ['afterSend', 'm1', 'id1'],
      ['beforeSend', 'm1'],
      ['onSendError', 'm1', failure],
    ])
  })

  it('may replace the message, and its later parts see the replacement', async () => {
    const seen: string[] = []
    class Replacing extends MessageMiddleware {
      override async beforeProcess() {
        return new Message({ id: 'm2' })
      }
      override afterProcess(received: Message) {
        seen.push(received.id)
      }
    }
    await composeProcess([toMiddleware(new Replacing())], async (received) => seen.push(received.id))(message)
    expect(seen).toEqual(['m2', 'm2'])
  })

  it('ignores what else a before-method returns', async () => {
    const seen: string[] = []
    const counting = { beforeProcess: () => seen.push('before') }
    await composeProcess([toMiddleware(counting)], async (received) => seen.push(received.id))(message)
    expect(seen).toEqual(['before', 'm1'])
  })

  it('refuses a message by throwing before it, unheard by its own onError', async () => {
    const errors: unknown[] = []
    class Refusing extends MessageMiddleware {
      override beforeProcess(): unknown {
        throw new Error('refused')
      }
      override onError(_message: Message, error: unknown) {
        errors.push(error)
      }
    }
    let handled = false
    const run = composeProcess([toMiddleware(new Refusing())], async () => {
      handled = true
    })
    await expect(run(message)).rejects.toThrow('refused')
    expect({ handled, errors }).toEqual({ handled: false, errors: [] })
  })

  it('keeps the first error and logs that of onError', async () => {
    const { logger, lines } = recordingLogger()
    class Broken extends MessageMiddleware {
      override onError(): unknown {
        throw new Error('in onError')
      }
    }
    const run = composeProcess([toMiddleware(new Broken(), logger)], async () => {
      throw new Error('in the handler')
    })
    await expect(run(message)).rejects.toThrow('in the handler')
    expect(lines).toMatchObject([{ level: 'error', fields: { id: 'm1', middleware: 'Broken' } }])
  })

  it('is named after its class unless it has a name', () => {
    expect(new Recording().name).toBe('Recording')
    expect(new MessageMiddleware('mine').name).toBe('mine')
  })
})

describe('toMiddleware', () => {
  it('takes an onion layer as it is', () => {
    const layer: Middleware = { name: 'layer', process: (_message, next) => next() }
    expect(toMiddleware(layer)).toBe(layer)
  })

  it('adds no layer for what a subclass leaves alone', () => {
    class OnlySends extends MessageMiddleware {
      override afterSend() {
        return undefined
      }
    }
    const middleware = toMiddleware(new OnlySends())
    expect(middleware.name).toBe('OnlySends')
    expect(middleware.process).toBeUndefined()
    expect(middleware.send).toBeDefined()
  })

  it('takes a subclass for the class form although it has a method called send', async () => {
    const log: string[] = []
    class Alerting extends MessageMiddleware {
      send(text: string) {
        log.push(text)
      }
      override onError(received: Message) {
        this.send(`failed: ${received.id}`)
      }
    }
    const run = composeProcess([toMiddleware(new Alerting())], async () => Promise.reject(new Error('no')))
    await expect(run(message)).rejects.toThrow('no')
    expect(log).toEqual(['failed: m1'])
  })

  it('recognises the class form by its methods, not by its class', async () => {
    const calls: string[] = []
    const foreign = {
      name: 'foreign',
      afterProcess() {
        calls.push(this.name)
      },
    }
    const middleware = toMiddleware(foreign)
    await composeProcess([middleware], async () => undefined)(message)
    expect([middleware.name, ...calls]).toEqual(['foreign', 'foreign'])
  })

  it('refuses a part of a plain object that is mistyped, and takes its helpers', () => {
    const process: NonNullable<Middleware['process']> = (_message, next) => next()
    expect(() => toMiddleware({ name: 'x', process, sendd() {} } as Middleware)).toThrow(
      'has a function "sendd" (did you mean "send"?)',
    )
    const helping = { name: 'x', process, format: () => '', onError() {} }
    expect(toMiddleware(helping)).toBe(helping)
    class Own implements Middleware {
      readonly name = 'own'
      readonly process = process
      readonly sendd = () => undefined
    }
    const own = new Own()
    expect(toMiddleware(own)).toBe(own)
  })

  it.each([
    ['null', null],
    ['a function', () => undefined],
    ['an object without any part', { name: 'empty' }],
    ['an onion layer without a name', { process: () => undefined }],
    ['something that only has the names', { name: 'x', process: 'yes', beforeSend: 1 }],
  ])('refuses %s', (_what, value) => {
    expect(() => toMiddleware(value as never)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })
})
