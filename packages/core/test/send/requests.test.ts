import { describe, expect, it } from '@jest/globals'
import { AdapterError, ErrorCode } from '../../src/adapter/index.ts'
import { Message } from '../../src/message/message.ts'
import { routeOf } from '../../src/send/routes.ts'
import {
  connectedBench,
  deferred,
  lastOf,
  queueBench,
  refusal,
  settled,
  until,
  type EngineBench,
} from '../engine-bench.ts'
import { delivery } from '../fake-adapter.ts'
import { listenersOf } from '../listeners-of.ts'

async function request(bench: EngineBench, id: string, timeoutMs = 1000, init = {}, signal?: AbortSignal) {
  const message = new Message({ id, body: 'question', queueName: 'q', ...init })
  return bench.requests.request(message, routeOf(message, signal === undefined ? {} : { signal }), timeoutMs)
}

const replyTo = (correlationId: string, changed = {}) =>
  delivery(`reply to ${correlationId}`, { correlationId, ...changed })

async function sent(bench: EngineBench, count = 1) {
  await until(() => bench.adapter.published.flat().length === count, 'the request was sent')
  return bench.adapter.published.flat()
}

describe('a request', () => {
  it('carries where its answer goes, and lives as long as it is waited for', async () => {
    const bench = await connectedBench()
    const answer = request(bench, 'a')
    const [out] = await sent(bench)
    expect(out).toMatchObject({
      replyTo: 'reply:here',
      correlationId: 'a',
      expiresAt: bench.clock.now() + 1000,
    })
    lastOf(bench.adapter.receivers).give(replyTo('a'))
    expect((await answer).body).toBe('reply to a')
    expect(lastOf(bench.adapter.receivers).settled).toEqual([{ kind: 'ack', ids: ['reply to a'] }])
  })

  it('gets its own answer, whatever the order', async () => {
    const bench = await connectedBench()
    const answers = Promise.all(['a', 'b', 'c'].map((id) => request(bench, id)))
    await sent(bench, 3)
    expect(bench.adapter.receivers).toHaveLength(1)
    lastOf(bench.adapter.receivers).give(replyTo('c'), replyTo('a'), replyTo('nobody'), replyTo('b'))
    expect((await answers).map(({ body }) => body)).toEqual(['reply to a', 'reply to b', 'reply to c'])
  })

  describe('that is given up', () => {
    it('while it waits for its answer is over, and a late answer means nothing', async () => {
      const bench = await connectedBench()
      const leaving = new AbortController()
      const failed = refusal(request(bench, 'a', 1000, {}, leaving.signal))
      await sent(bench)
      await settled()
      leaving.abort('enough')
      expect(await failed).toMatchObject({ code: ErrorCode.ABORTED, cause: 'enough', certainty: undefined })
      lastOf(bench.adapter.receivers).give(replyTo('a'))
      await settled()
      expect(lastOf(bench.adapter.receivers).settled).toHaveLength(1)
    })

    it('before it is sent is not sent', async () => {
      const bench = await connectedBench()
      const failures = ['a', 'b'].map((id) => {
        const leaving = new AbortController()
        if (id === 'a') leaving.abort()
        const failed = refusal(request(bench, id, 1000, {}, leaving.signal))
        leaving.abort()
        return failed
      })
      for (const failed of failures)
        expect(await failed).toMatchObject({ code: ErrorCode.ABORTED, certainty: 'not-stored' })
      await settled()
      expect(bench.adapter.published).toEqual([])
    })

    it('while it is being sent says whether it may be stored', async () => {
      const bench = await connectedBench()
      bench.adapter.onPublish = () => new Promise(() => undefined)
      const leaving = new AbortController()
      const failed = refusal(request(bench, 'a', 1000, {}, leaving.signal))
      await sent(bench)
      leaving.abort()
      expect(await failed).toMatchObject({ code: ErrorCode.ABORTED, certainty: 'unknown' })
    })

    it('takes a signal in both forms', async () => {
      const { queue } = queueBench()
      await queue.connect()
      const options = { timeoutMs: 1000, signal: AbortSignal.abort() }
      const calls: Promise<Message<number>>[] = [
        queue.request<string, number>('q', 'question', options),
        queue.request<string, number>({ queueName: 'q', body: 'question' }, options),
      ]
      for (const call of calls) expect((await refusal(call)).code).toBe(ErrorCode.ABORTED)
      const controller = new AbortController() as never
      await expect(queue.request('q', 1, { timeoutMs: 1000, signal: controller })).rejects.toThrow('signal')
      await queue.disconnect()
    })
  })

  it('ends after its time-out, and a late answer means nothing', async () => {
    const bench = await connectedBench()
    const failed = refusal(request(bench, 'a'))
    await sent(bench)
    await bench.clock.advance(1000)
    expect(await failed).toMatchObject({ name: 'RequestTimeoutError', code: ErrorCode.REQUEST_TIMEOUT })
    lastOf(bench.adapter.receivers).give(replyTo('a'))
    await settled()
    const next = request(bench, 'b')
    await sent(bench, 2)
    lastOf(bench.adapter.receivers).give(replyTo('b'))
    expect((await next).correlationId).toBe('b')
  })

  it('ends after its time-out also while the reply queue is being opened, and is then not sent', async () => {
    const bench = await connectedBench()
    const { openReplies } = bench.adapter
    const gate = deferred()
    bench.adapter.openReplies = async () => {
      await gate.promise
      return openReplies()
    }
    const failed = refusal(request(bench, 'a', 100))
    await bench.clock.advance(100)
    expect(await failed).toMatchObject({ code: ErrorCode.REQUEST_TIMEOUT, certainty: 'not-stored' })
    const next = request(bench, 'b')
    gate.resolve()
    expect((await sent(bench)).map(({ id }) => id)).toEqual(['b'])
    lastOf(bench.adapter.receivers).give(replyTo('b'))
    await next
  })

  it('rejects with what the handler threw', async () => {
    const bench = await connectedBench()
    const failed = refusal(request(bench, 'a'))
    await sent(bench)
    const headers = { 'mq-error-name': 'TypeError', 'mq-error-message': 'no such thing' }
    lastOf(bench.adapter.receivers).give(replyTo('a', { headers }))
    expect(await failed).toMatchObject({
      code: ErrorCode.REMOTE,
      name: 'TypeError',
      message: 'no such thing',
    })
  })

  it('rejects when the answer cannot be read, or the request cannot be sent', async () => {
    const bench = await connectedBench({ producer: { retries: 0 } })
    const unreadable = refusal(request(bench, 'a'))
    await sent(bench)
    lastOf(bench.adapter.receivers).give(replyTo('a', { body: new TextEncoder().encode('{') }))
    expect(await unreadable).toMatchObject({ code: ErrorCode.SERIALIZATION })
    bench.adapter.onPublish = async (batch) =>
      batch.map(() => ({ ok: false, error: new Error('full'), certainty: 'not-stored' }))
    expect(await refusal(request(bench, 'b'))).toMatchObject({ certainty: 'not-stored' })
  })

  it('fails at once when the connection is lost, and the next one gets a new address', async () => {
    const bench = await connectedBench()
    const failed = refusal(request(bench, 'a', 60_000))
    await sent(bench)
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    expect(await failed).toMatchObject({ code: ErrorCode.CONNECTION })
    await bench.clock.advance(200)
    const next = request(bench, 'b')
    await sent(bench, 2)
    expect(bench.adapter.receivers).toHaveLength(2)
    lastOf(bench.adapter.receivers).give(replyTo('b'))
    await next
  })

  it('waits out a lost connection, as long as its time-out', async () => {
    const bench = await connectedBench()
    bench.adapter.onConnect = () => Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'down'))
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    const failed = refusal(request(bench, 'impatient', 500))
    const answer = request(bench, 'a', 10_000)
    await bench.clock.advance(1000)
    expect(await failed).toMatchObject({ code: ErrorCode.REQUEST_TIMEOUT, certainty: 'not-stored' })
    bench.adapter.onConnect = () => Promise.resolve()
    await bench.clock.advance(3000)
    expect((await sent(bench)).map(({ id }) => id)).toEqual(['a'])
    lastOf(bench.adapter.receivers).give(replyTo('a'))
    expect((await answer).body).toBe('reply to a')
  })

  it('waits out a connection that is lost while the reply queue is being opened', async () => {
    const bench = await connectedBench()
    const { openReplies } = bench.adapter
    bench.adapter.openReplies = () => Promise.reject(new AdapterError(ErrorCode.CONNECTION, 'socket closed'))
    const answer = request(bench, 'a', 10_000)
    await settled()
    bench.adapter.openReplies = openReplies
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    await bench.clock.advance(1000)
    await sent(bench)
    lastOf(bench.adapter.receivers).give(replyTo('a'))
    expect((await answer).body).toBe('reply to a')
  })

  it('leaves nothing behind at the connection, however often its reply queue is lost', async () => {
    const bench = await connectedBench()
    const { openReplies } = bench.adapter
    const listeners: number[] = []
    bench.adapter.openReplies = async () => {
      const { address, receiver } = await openReplies()
      const receive = (_max: number, signal: AbortSignal) => {
        listeners.push(listenersOf(signal))
        return Promise.reject(new Error('channel closed'))
      }
      return { address, receiver: { ...receiver, receive } }
    }
    for (const [before, id] of ['a', 'b', 'c'].entries()) {
      const failed = refusal(request(bench, id))
      await until(() => listeners.length > before)
      await bench.clock.advance(1000)
      await failed
    }
    expect(listeners).toEqual([0, 0, 0])
  })

  it('survives the loss of its reply queue', async () => {
    const bench = await connectedBench()
    const first = request(bench, 'a')
    await sent(bench)
    lastOf(bench.adapter.receivers).give(replyTo('a'))
    await first
    lastOf(bench.adapter.receivers).fail(new Error('channel closed'))
    await settled()
    const next = request(bench, 'b')
    await sent(bench, 2)
    expect(bench.adapter.receivers).toHaveLength(2)
    lastOf(bench.adapter.receivers).give(replyTo('b'))
    expect((await next).body).toBe('reply to b')
  })

  it.each([
    ['fails late', (gate: ReturnType<typeof deferred<void>>) => gate.reject(new Error('the old connection'))],
    ['opens late', (gate: ReturnType<typeof deferred<void>>) => gate.resolve()],
  ])('has a reply queue of its own connection although an older one %s', async (_name, end) => {
    const bench = await connectedBench()
    const { openReplies } = bench.adapter
    const gate = deferred()
    bench.adapter.openReplies = async () => {
      const replies = await openReplies()
      await gate.promise
      return replies
    }
    const first = request(bench, 'a', 60_000)
    await until(() => bench.adapter.receivers.length === 1)
    bench.adapter.openReplies = openReplies
    lastOf(bench.adapter.connections).lost(new Error('cut'))
    await bench.clock.advance(1000)
    await sent(bench)
    expect(bench.adapter.receivers).toHaveLength(2)
    end(gate)
    await settled()
    const second = request(bench, 'b')
    await sent(bench, 2)
    lastOf(bench.adapter.receivers).give(replyTo('a'), replyTo('b'))
    expect((await first).body).toBe('reply to a')
    expect((await second).body).toBe('reply to b')
    expect(bench.adapter.receivers).toHaveLength(2)
    expect(bench.adapter.receivers[0]?.asked).toEqual([])
  })

  it('that was given up opens no reply queue any more', async () => {
    const bench = await connectedBench()
    const { openReplies } = bench.adapter
    let opened = 0
    bench.adapter.openReplies = () => (opened++ === 0 ? new Promise(() => undefined) : openReplies())
    const failed = refusal(request(bench, 'a', 60_000))
    await settled()
    void bench.requests.close()
    expect(await failed).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
    await bench.clock.advance(10_000)
    expect(opened).toBe(1)
  })

  it('needs a time-out, and a correlation id of its own', async () => {
    const bench = await connectedBench()
    for (const timeoutMs of [0, -1, NaN, Infinity, undefined as never, '5' as never]) {
      expect(
        await refusal(request(bench, 'a', timeoutMs === undefined ? (null as never) : timeoutMs)),
      ).toMatchObject({ code: ErrorCode.VALIDATION })
    }
    const first = refusal(request(bench, 'a', 1000, { correlationId: 'same' }))
    await sent(bench)
    expect(await refusal(request(bench, 'b', 1000, { correlationId: 'same' }))).toMatchObject({
      code: ErrorCode.VALIDATION,
    })
    await bench.requests.close()
    expect(await first).toMatchObject({ code: ErrorCode.NOT_CONNECTED })
  })
})

describe('answering', () => {
  const ask = (id: string, changed = {}) =>
    delivery(id, { replyTo: 'reply:there', correlationId: `c-${id}`, ...changed })

  it('comes before the acknowledgement; undefined answers null', async () => {
    const bench = await connectedBench()
    const steps: string[] = []
    bench.adapter.onPublish = async (batch) => {
      steps.push(`answer ${new TextDecoder().decode(batch[0]?.body)}`)
      return batch.map(() => ({ ok: true }))
    }
    bench.adapter.onSettle = (kind) => {
      steps.push(kind)
      return 'settled'
    }
    const { consumer, receiver } = await bench.consume(() => undefined)
    receiver.give(ask('a'))
    await until(() => steps.includes('ack'))
    expect(steps).toEqual(['answer null', 'ack'])
    expect(bench.adapter.published[0]?.[0]).toMatchObject({
      destination: { reply: 'reply:there' },
      correlationId: 'c-a',
    })
    await consumer.stop()
  })

  it.each(['text', 'bytes'] as const)(
    'works without a value where bodies are %s alone',
    async (messageFormat) => {
      const bench = await connectedBench({ message: { messageFormat } })
      const { consumer, receiver } = await bench.consume(({ id }) => {
        if (id === 'bad') throw new TypeError('no such thing')
      })
      receiver.give(ask('good'), ask('bad'))
      await until(() => receiver.settled.length === 2)
      expect(receiver.settled).toMatchObject([{ kind: 'ack' }, { kind: 'deadLetter' }])
      const [good, bad] = bench.adapter.published.flat()
      expect(good).toMatchObject({ contentType: 'application/json', body: Buffer.from('null') })
      expect(bad?.headers).toMatchObject({ 'mq-error-name': 'TypeError' })
      await consumer.stop()
    },
  )

  it('a failure says of its name and message what fits into headers', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => {
      throw Object.assign(new Error('m'.repeat(100_000)), { name: 'n'.repeat(100_000) })
    })
    receiver.give(ask('a'))
    await until(() => bench.adapter.published.length > 0)
    const headers = bench.adapter.published[0]?.[0]?.headers
    expect(Buffer.byteLength(JSON.stringify(headers))).toBeLessThan(2000)
    await consumer.stop()
  })

  it('a failure says name and message; the request is not retried unless its handler asked for it', async () => {
    const bench = await connectedBench()
    const { consumer, receiver } = await bench.consume(() => {
      throw new TypeError('no such thing')
    })
    receiver.give(ask('a'))
    await until(() => receiver.settled.length > 0)
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter' }])
    expect(bench.adapter.published[0]?.[0]?.headers).toMatchObject({
      'mq-error-name': 'TypeError',
      'mq-error-message': 'no such thing',
    })
    await consumer.stop()
    const retrying = await connectedBench()
    const second = await retrying.consume(() => Promise.reject(new Error('no')), { retry: { maxRetries: 1 } })
    second.receiver.give(ask('b'))
    await until(() => second.receiver.settled.length > 0)
    expect(second.receiver.settled).toMatchObject([{ kind: 'retry' }])
    expect(retrying.adapter.published).toEqual([])
    await second.consumer.stop()
  })

  it('to a foreign requester whose queue is gone is dropped, and makes no queue', async () => {
    const bench = await connectedBench()
    const error = new AdapterError(ErrorCode.QUEUE_NOT_FOUND, 'there is no queue "answers"')
    bench.adapter.onPublish = async (batch) =>
      batch.map(() => ({ ok: false, error, certainty: 'not-stored' }))
    const { consumer, receiver } = await bench.consume(({ id }) => {
      if (id === 'bad') throw new TypeError('no such thing')
    })
    receiver.give(ask('good', { replyTo: 'answers' }), ask('bad', { replyTo: 'answers' }))
    await until(() => receiver.settled.length === 2 && bench.adapter.published.flat().length === 2)
    await settled()
    expect(receiver.settled.map(({ kind }) => kind).sort()).toEqual(['ack', 'deadLetter'])
    const places = bench.adapter.published.flat().map(({ destination }) => destination)
    expect(places).toEqual([{ queue: 'answers' }, { queue: 'answers' }])
    expect(bench.adapter.declared.map(({ target }) => target)).not.toContainEqual({ queue: 'answers' })
    expect(bench.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
    await consumer.stop()
  })
})
