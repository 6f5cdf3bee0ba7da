import { describe, expect, it } from '@jest/globals'
import { Message } from '../../src/message/message.ts'
import { composeProcess, composeSend } from '../../src/middleware/compose.ts'
import { LoggingMiddleware } from '../../src/middleware/logging.ts'
import { toMiddleware } from '../../src/middleware/message-middleware.ts'
import { recordingLogger } from './recording-logger.ts'

const message = new Message({
  id: 'm1',
  queueName: 'orders',
  body: 'body-secret',
  headers: { token: 'header-secret' },
  deliveryCount: 2,
})

describe('LoggingMiddleware', () => {
  it('logs a success at info, with id, queue, attempt and duration', async () => {
    const { logger, lines } = recordingLogger()
    expect(await composeProcess([new LoggingMiddleware(logger)], async () => 7)(message)).toBe(7)
    expect(lines.map(({ level }) => level)).toEqual(['debug', 'info'])
    expect(lines.at(-1)?.fields).toEqual({
      id: 'm1',
      queue: 'orders',
      attempt: 3,
      durationMs: expect.any(Number),
    })
  })

  it('logs a failure at error and lets it go on', async () => {
    const { logger, lines } = recordingLogger()
    const failure = new Error('no')
    const run = composeProcess([new LoggingMiddleware(logger)], async () => Promise.reject(failure))
    await expect(run(message)).rejects.toBe(failure)
    expect(lines.at(-1)).toMatchObject({ level: 'error', fields: { id: 'm1', error: failure } })
  })

  it('logs sends and failed sends', async () => {
    const { logger, lines } = recordingLogger()
    const logging = new LoggingMiddleware(logger)
    await composeSend([logging], async () => 'm1')(message)
    await composeSend([logging], async () => Promise.reject(new Error('no')))(message).catch(() => undefined)
    expect(lines.map(({ level, fields }) => [level, fields['id']])).toEqual([
      ['info', 'm1'],
      ['error', 'm1'],
    ])
  })

  it('changes nothing when its logger throws', async () => {
    const broken = () => {
      throw new Error('EPIPE')
    }
    const logging = new LoggingMiddleware({ debug: broken, info: broken, warn: broken, error: broken })
    expect(await composeProcess([logging], async () => 7)(message)).toBe(7)
    expect(await composeSend([logging], async () => 'm1')(message)).toBe('m1')
    const failure = new Error('no')
    await expect(composeSend([logging], async () => Promise.reject(failure))(message)).rejects.toBe(failure)
  })

  it('gives the message id in every line and the body and headers in none', async () => {
    const { logger, lines } = recordingLogger()
    const logging = new LoggingMiddleware(logger)
    await composeProcess([logging], async () => 'result-secret')(message)
    await composeSend([logging], async () => 'm1')(message)
    expect(lines.every(({ fields }) => fields['id'] === 'm1')).toBe(true)
    expect(JSON.stringify(lines)).not.toContain('secret')
  })

  it('uses the logger of the queue it is added to, of each queue its own, unless it has one', async () => {
    const [one, two, own] = [recordingLogger(), recordingLogger(), recordingLogger()]
    const shared = new LoggingMiddleware()
    await composeProcess([toMiddleware(shared, one.logger)], async () => undefined)(message)
    await composeProcess([toMiddleware(shared, two.logger)], async () => undefined)(message)
    await composeProcess(
      [toMiddleware(new LoggingMiddleware(own.logger), one.logger)],
      async () => undefined,
    )(message)
    expect([one, two, own].map(({ lines }) => lines.length)).toEqual([2, 2, 2])
  })
})
