import { describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { AdapterError, ErrorCode, type SettleOutcome } from '../../src/adapter/index.ts'
import type { HandlerFunction, HandlerOptions } from '../../src/consume/handler.ts'
import type { Message } from '../../src/message/message.ts'
import { RejectError, RetryError } from '../../src/errors.ts'
import { connectedBench, deferred, settled, until, type EngineBench } from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'

const asked = { replyTo: 'reply:there', correlationId: 'c1' }

/** The errors that requesters were answered with. */
const answers = (bench: EngineBench) =>
  bench.adapter.published.flat().map(({ headers }) => headers['mq-error-message'])

describe('a request that fails', () => {
  const acknowledgesFirst =
    (bench: EngineBench): HandlerFunction =>
    async (message: Message) => {
      await bench.receiving.acknowledge(message)
      throw new Error('too late')
    }
  const throws = (): HandlerFunction => () => {
    throw new Error('too late')
  }

  it.each<[string, (bench: EngineBench) => HandlerFunction, HandlerOptions]>([
    ['was acknowledged before its run', throws, { acknowledgmentMode: 'none' }],
    ['was acknowledged by its handler', acknowledgesFirst, {}],
  ])('is answered although it %s', async (_name, handler, options) => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(handler(bench), options)
    receiver.give(delivery('a', asked))
    await until(() => bench.adapter.published.length > 0)
    expect(answers(bench)).toEqual(['too late'])
    await consumer.stop()
  })

  it('is answered when it is refused, unless its time is up', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => 1, { schema: Type.Number() })
    receiver.give(delivery('late', { ...asked, expiresAt: 0 }), delivery('invalid', asked))
    await until(() => bench.adapter.published.length > 0)
    await settled()
    expect(answers(bench)).toEqual([expect.stringContaining('must be number')])
    await consumer.stop()
  })

  it('is not answered while its message cannot be dead-lettered: it comes again', async () => {
    const bench = await connectedBench()
    const outcomes: SettleOutcome[] = [{ error: new AdapterError(ErrorCode.MESSAGE_TOO_LARGE, 'too large') }]
    bench.adapter.onSettle = () => outcomes.shift() ?? 'settled'
    const { consumer, receiver } = await bench.consume(throws())
    receiver.give(delivery('a', asked))
    await until(() => receiver.settled.length === 1)
    await settled()
    expect(answers(bench)).toEqual([])
    receiver.give(delivery('a', asked))
    await until(() => bench.adapter.published.length > 0)
    expect(answers(bench)).toEqual(['too late'])
    await consumer.stop()
  })

  it('is not answered by a run that was lost: it comes again', async () => {
    const bench = await connectedBench()
    const request = delivery('a', asked)
    const { consumer, receiver } = await bench.consume(async (_message, { signal }) => {
      receiver.lose(request)
      signal.throwIfAborted()
    })
    receiver.give(request)
    await until(() => consumer.stats().failed === 1)
    await settled()
    expect(answers(bench)).toEqual([])
    await consumer.stop()
  })
})

describe('a retry', () => {
  it('comes after the longest delay of the broker, and says so, when asked for later', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => {
      throw new RetryError('much later', { delayMs: 1e14 })
    })
    receiver.give(delivery('a'))
    await until(() => receiver.settled.length > 0)
    expect(receiver.settled).toMatchObject([{ kind: 'retry', delayMs: 1_000_000 }])
    expect(bench.log).toContainEqual(
      expect.objectContaining({ level: 'warn', fields: expect.objectContaining({ askedMs: 1e14 }) }),
    )
    await consumer.stop()
  })
})

describe('dead letters', () => {
  it('come in the order of their failures, also while their queue is being declared', async () => {
    const bench = await connectedBench()
    const declared = deferred()
    const { consumer, receiver } = await bench.consume(() => {
      throw new RejectError('no')
    })
    bench.adapter.onDeclare = async () => {
      await declared.promise
      return {}
    }
    receiver.give(delivery('a'), delivery('b'))
    await until(() => consumer.stats().failed === 2)
    declared.resolve()
    // Known from here on, and still on its way to those that wait.
    while (bench.engine.topology.settingsOf('q.dlq') === undefined) await Promise.resolve()
    receiver.give(delivery('c'))
    await until(() => receiver.settled.length === 3)
    expect(receiver.settled.flatMap(({ ids }) => ids)).toEqual(['a', 'b', 'c'])
    await consumer.stop()
  })
})

describe('a failed message whose dead-letter queue is being declared', () => {
  it('is settled by nobody else meanwhile', async () => {
    const bench = await connectedBench()
    const failed: Message[] = []
    const { consumer, receiver } = await bench.consume((message) => {
      failed.push(message)
      throw new RejectError('no')
    })
    const gate = deferred<object>()
    bench.adapter.onDeclare = () => gate.promise
    receiver.give(delivery('a'))
    await until(() => failed.length === 1)
    const [message] = failed as [Message]
    await expect(bench.receiving.acknowledge(message)).rejects.toMatchObject({
      code: ErrorCode.ALREADY_SETTLED,
    })
    gate.resolve({})
    await until(() => receiver.settled.length === 1)
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter', ids: ['a'] }])
    await consumer.stop()
  })
})

describe('a message that is lost while its dead-letter queue is declared', () => {
  it('is told to be lost once, and nothing of it is told to the broker', async () => {
    const bench = await connectedBench()
    const gate = deferred<object>()
    const { consumer, receiver } = await bench.consume(() => {
      throw new RejectError('bad')
    })
    bench.adapter.onDeclare = () => gate.promise
    const one = delivery('a')
    receiver.give(one)
    await until(() => bench.adapter.declared.length === 2)
    receiver.lose(one)
    gate.resolve({})
    await settled()
    expect(bench.events.filter(([name]) => name === 'leaseLost')).toHaveLength(1)
    expect([receiver.settled, bench.engine.stats.inFlight]).toEqual([[], 0])
    await consumer.stop()
  })
})
