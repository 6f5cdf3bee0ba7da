import assert from 'node:assert/strict'
import { ErrorCode, type BrokerAdapter, type PublishOutcome, type Receiver } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, later, MOST_LATE_MS, quickest, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { within } from '../schedule.ts'

/** A connected adapter with a fresh queue. */
async function withQueue(
  t: TestContext,
): Promise<{ adapter: BrokerAdapter; name: string; signal: AbortSignal }> {
  const adapter = await t.connected()
  const name = t.name()
  await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
  return { adapter, name, signal: t.deadline(t.patienceMs * 2) }
}

function open(
  adapter: BrokerAdapter,
  name: string,
  fields: Parameters<typeof source>[1] = {},
): Promise<Receiver> {
  return adapter.open(source({ queue: name }, fields), () => undefined)
}

/** What an adapter owes to core, below what users see. */
export const contract = group('contract', (item) => {
  item('classify', 'classify names every error, and never throws', async (t) => {
    const adapter = await t.connected()
    const codes = new Set<string>(Object.values(ErrorCode))
    const odd = [
      undefined,
      null,
      0,
      '',
      'text',
      {},
      [],
      new Error('plain'),
      Object.create(null),
      Object.assign(new Error('e'), { code: 'ECONNRESET' }),
      Symbol('s'),
      1n,
      () => undefined,
    ]
    for (const error of odd) {
      const { code, retryable } = adapter.classify(error)
      assert.ok(codes.has(code), `code ${String(code)}`)
      assert.equal(typeof retryable, 'boolean')
    }
    const circular = new Error('circular')
    circular.cause = circular
    for (const unknown of [new Error('plain'), undefined, {}, circular]) {
      const { code, retryable } = adapter.classify(unknown)
      assert.deepEqual({ code, retryable }, { code: 'MQ_UNKNOWN', retryable: true })
    }
  })

  item('refused-open', 'opening a queue that does not exist rejects as MQ_QUEUE_NOT_FOUND', async (t) => {
    const adapter = await t.connected()
    const error: unknown = await open(adapter, t.name('missing')).then(
      () => null,
      (reason: unknown) => reason,
    )
    assert.ok(error !== null, 'it was opened')
    const { code, retryable } = adapter.classify(error)
    assert.deepEqual({ code, retryable }, { code: 'MQ_QUEUE_NOT_FOUND', retryable: false })
  })

  item(
    'refused-publish',
    'publishing to a queue that does not exist is not-stored, as MQ_QUEUE_NOT_FOUND',
    async (t) => {
      const adapter = await t.connected()
      const [outcome] = await adapter.publish([outbound({ queue: t.name('missing') })], t.deadline())
      assert.ok(outcome !== undefined && !outcome.ok, 'it was accepted')
      assert.equal(outcome.certainty, 'not-stored')
      const { code, retryable } = adapter.classify(outcome.error)
      assert.deepEqual({ code, retryable }, { code: 'MQ_QUEUE_NOT_FOUND', retryable: false })
    },
  )

  item('publish-outcomes', 'publish answers one outcome per message, and stores each once', async (t) => {
    const { adapter, name, signal } = await withQueue(t)
    const sent: string[] = []
    for (const n of [1, 2, 500]) {
      const batch = Array.from({ length: n }, () => outbound({ queue: name }))
      const outcomes = await adapter.publish(batch, signal)
      assert.deepEqual([outcomes.length, outcomes.every(({ ok }) => ok)], [n, true], 'outcomes')
      sent.push(...batch.map(({ id }) => id))
    }
    const receiver = await open(adapter, name, { prefetch: sent.length })
    const got = await receiveAll(t, receiver, sent.length)
    got.push(...(await receiver.receive(10, signal, 0)))
    eachOnce(
      got.map(({ id }) => id),
      sent,
    )
  })

  item(
    'publish-partial',
    'of a call that does not fit, those are stored whose outcome says so, and no others',
    async (t) => {
      const { limits } = t.capabilities
      if (limits === 'none') return t.refused('limits')
      const adapter = await t.connected()
      const name = t.name()
      const settings = { ...plainSettings, maxLength: 3 }
      await adapter.declare({ queue: name }, { settings, pattern: undefined, ifExists: 'take' })
      const accepted: string[] = []
      const refused: string[] = []
      // A soft limit may let a whole call through.
      await t.until(async () => {
        const batch = Array.from({ length: 10 }, () => outbound({ queue: name }))
        const outcomes = await adapter.publish(batch, t.deadline())
        assert.equal(outcomes.length, batch.length)
        for (const [i, { id }] of batch.entries()) {
          const outcome = outcomes[i] as PublishOutcome
          ;(outcome.ok ? accepted : refused).push(id)
          if (!outcome.ok) assert.equal(outcome.certainty, 'not-stored')
        }
        if (limits === 'exact')
          assert.deepEqual(
            accepted,
            batch.slice(0, 3).map(({ id }) => id),
            'the first three accepted',
          )
        return refused.length > 0
      }, 'something refused')
      const found = await receiveAll(t, await open(adapter, name), accepted.length)
      const more = await (await open(adapter, name)).receive(100, t.deadline(), 0)
      eachOnce(
        [...found, ...more].map(({ id }) => id),
        accepted,
        'accepted ones',
      )
      if (limits === 'soft') t.refused('limits')
    },
  )

  item('publish-abort', 'publish that was aborted before it began stores nothing, and says so', async (t) => {
    const { adapter, name } = await withQueue(t)
    const outcomes = await adapter.publish(
      [outbound({ queue: name }), outbound({ queue: name })],
      AbortSignal.abort(),
    )
    assert.deepEqual(
      outcomes.map((outcome) => !outcome.ok && outcome.certainty),
      ['not-stored', 'not-stored'],
    )
    const deliveries = await (await open(adapter, name)).receive(10, t.deadline(), 0)
    assert.deepEqual([...deliveries], [])
  })

  item('publish-untouched', 'publish changes nothing of what it is given', async (t) => {
    const { adapter, name, signal } = await withQueue(t)
    const message = outbound({ queue: name }, { headers: { a: '1' }, body: Buffer.from('abc') })
    const before = JSON.stringify(message)
    await adapter.publish(Object.freeze([message]), signal)
    assert.equal(JSON.stringify(message), before)
  })

  item('never-shared', 'deliveries of one message share no headers', async (t) => {
    const adapter = await t.connected()
    const topic = t.name('topic')
    await adapter.declare({ topic }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const receivers: Receiver[] = []
    for (const subscription of ['a', 'b']) {
      const target = { topic, subscription }
      await adapter.declare(target, { settings: plainSettings, pattern: '#', ifExists: 'take' })
      receivers.push(await adapter.open(source(target), () => undefined))
    }
    await adapter.publish([outbound({ topic }, { headers: { a: '1' } })], t.deadline())
    const headers: Record<string, string>[] = []
    for (const receiver of receivers)
      for (const delivery of await receiveAll(t, receiver, 1)) headers.push(delivery.headers)
    const [one, two] = headers
    assert.ok(one !== undefined && two !== undefined, 'two deliveries')
    one['a'] = 'changed'
    assert.equal(two['a'], '1')
    // Nor do those of one that comes again, or is looked at again.
    const { adapter: own, name } = await withQueue(t)
    await own.publish([outbound({ queue: name }, { headers: { a: '1' } })], t.deadline())
    for (const mode of ['browse', 'browse', 'pull', 'pull'] as const) {
      const receiver = await own.open(source({ queue: name }, { mode }), () => undefined)
      for (let i = 0; i < (mode === 'pull' ? 2 : 1); i++) {
        const again = await receiveAll(t, receiver, 1)
        for (const { headers: shown } of again) {
          assert.equal(shown['a'], '1', mode)
          shown['a'] = 'changed'
        }
        if (mode === 'pull' && i === 0) await receiver.release(again)
      }
      await receiver.close(t.deadline())
    }
  })

  item('receive-max', 'receive never answers more than it is asked for', async (t) => {
    const { adapter, name, signal } = await withQueue(t)
    await adapter.publish(
      Array.from({ length: 20 }, () => outbound({ queue: name })),
      signal,
    )
    const receiver = await open(adapter, name)
    let got = 0
    for (const max of [1, 3, 5, 11]) {
      const deliveries = await receiver.receive(max, signal, 1000)
      assert.ok(deliveries.length <= max, `${deliveries.length} of at most ${max}`)
      got += deliveries.length
    }
    // In time or later: something does come.
    if (got === 0) await receiveAll(t, receiver, 1)
  })

  item('receive-waits', 'receive waits for a message, and answers as soon as there is one', async (t) => {
    const { adapter, name, signal } = await withQueue(t)
    const receiver = await open(adapter, name)
    const woken = async (): Promise<void> => {
      // One call: as much as it may take, and longer than it may last.
      const waiting = later(receiver.receive(10, signal, t.patienceMs * 4))
      await t.quiet(30)
      const message = outbound({ queue: name })
      await adapter.publish([message], signal)
      const late = () => 'it waited on, with a message there'
      const deliveries = await within(t.clock, waiting, t.patienceMs, late)
      assert.deepEqual(
        deliveries.map(({ id }) => id),
        [message.id],
      )
      await receiver.ack(deliveries)
    }
    // The first may take a broker its time, which may be far away besides.
    const call = await quickest(t, 1, () => adapter.size({ queue: name }))
    const most = MOST_LATE_MS + 2 * call
    const took = await quickest(t, most, woken)
    assert.ok(took < most, `at best it answered after ${took} ms`)
  })

  item('receive-empty', 'receive answers an empty array when nothing came in its time', async (t) => {
    const { adapter, name } = await withQueue(t)
    const receiver = await open(adapter, name)
    for (const waitMs of [0, 50]) {
      const deliveries = await receiver.receive(10, t.deadline(), waitMs)
      assert.deepEqual([...deliveries], [])
    }
  })

  item('receive-abort', 'an aborted receive resolves, losing nothing', async (t) => {
    const { adapter, name, signal } = await withQueue(t)
    const receiver = await open(adapter, name)
    const controller = new AbortController()
    const waiting = later(receiver.receive(10, controller.signal, 60_000))
    await t.quiet(20)
    const message = outbound({ queue: name })
    const publishing = later(adapter.publish([message], signal))
    controller.abort()
    await publishing
    const early = await waiting
    const late = await receiver.receive(10, AbortSignal.abort(), 60_000)
    const got = [...early, ...late]
    if (got.length === 0) got.push(...(await receiveAll(t, receiver, 1)))
    assert.deepEqual(
      got.map(({ id }) => id),
      [message.id],
    )
  })

  item('ping', 'ping resolves on the live connection, and rejects without one', async (t) => {
    const adapter = await t.connected()
    await adapter.ping(t.deadline())
    await adapter.disconnect(t.deadline())
    await assert.rejects(async () => adapter.ping(t.deadline(1000)))
  })

  item('disconnect', 'disconnect is idempotent, is no loss, and gives back what was leased', async (t) => {
    let lost = 0
    const adapter = await t.connected({ lost: () => void lost++ })
    const name = t.name()
    await adapter.declare({ queue: name }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const message = outbound({ queue: name })
    await adapter.publish([message], t.deadline())
    // The lease is short here: some brokers see the end of a connection only by it.
    const receiver = await open(adapter, name, { leaseMs: t.leaseMs })
    await receiveAll(t, receiver, 1)
    await adapter.disconnect(t.deadline())
    await adapter.disconnect(t.deadline())
    const other = await t.connected()
    const [again] = await receiveAll(t, await open(other, name), 1)
    assert.deepEqual([again?.id, again?.deliveryCount], [message.id, 0])
    assert.equal(lost, 0, 'calls of lost')
  })

  item('disconnect-abort', 'disconnect settles on abort, and what waits settles with it', async (t) => {
    const { adapter, name } = await withQueue(t)
    const receiver = await open(adapter, name)
    const signal = t.deadline(t.patienceMs * 4)
    const receiving = Promise.allSettled([receiver.receive(1, signal, t.patienceMs * 4)])
    await t.quiet(20)
    const disconnecting = Promise.allSettled([adapter.disconnect(AbortSignal.abort())])
    await within(t.clock, disconnecting, t.patienceMs, () => 'disconnect did not settle')
    await within(t.clock, receiving, t.patienceMs, () => 'receive did not settle')
  })

  item('connect-abort', 'connect that was aborted before it began rejects, and opens nothing', async (t) => {
    const adapter = t.adapter()
    const events = { lost: () => undefined, blocked: () => undefined }
    const connecting = async () => adapter.connect(events, AbortSignal.abort())
    await within(
      t.clock,
      assert.rejects(connecting, 'it connected'),
      t.patienceMs,
      () => 'connect did not settle',
    )
    await assert.rejects(async () => adapter.ping(t.deadline(1000)), 'it is connected')
  })

  item('reconnect', 'an adapter can be connected again after disconnect', async (t) => {
    const { adapter, name, signal } = await withQueue(t)
    await adapter.disconnect(signal)
    let lost = 0
    await adapter.connect({ lost: () => void lost++, blocked: () => undefined }, signal)
    const [outcome] = await adapter.publish([outbound({ queue: name })], signal)
    assert.equal(outcome?.ok, true)
    await t.quiet(50)
    assert.equal(lost, 0, 'calls of lost')
  })

  item('declare-take', 'declare with take accepts what exists, and answers settings in force', async (t) => {
    const { adapter, name } = await withQueue(t)
    const different = { ...plainSettings, maxRedeliveries: 3, deadLetterQueue: `${name}.dlq` }
    const revealed = await adapter.declare(
      { queue: name },
      { settings: different, pattern: undefined, ifExists: 'take' },
    )
    if (revealed.maxRedeliveries !== undefined)
      assert.equal(revealed.maxRedeliveries, plainSettings.maxRedeliveries)
    // Core goes by what is there, whoever made it.
    const made = { messageTtl: 600_000, maxRedeliveries: 7, deadLetterQueue: t.name('dead'), ordered: true }
    const target = { queue: t.name() }
    const declare = (by: BrokerAdapter, over: object) =>
      by.declare(target, { settings: { ...plainSettings, ...over }, pattern: undefined, ifExists: 'take' })
    await declare(adapter, made)
    const inForce = await declare(await t.connected(), {})
    for (const [field, value] of Object.entries(made)) {
      const shown = inForce[field as keyof typeof made]
      if (shown !== undefined) assert.equal(shown, value, field)
    }
  })

  item('replies', 'reply places are private, and one that vanished is no error', async (t) => {
    const adapter = await t.connected()
    const other = await t.connected()
    const signal = t.deadline()
    const [mine, theirs] = [await adapter.openReplies(), await other.openReplies()]
    assert.notEqual(mine.address, theirs.address)
    const reply = outbound({ reply: mine.address }, { correlationId: 'c' })
    assert.equal((await other.publish([reply], signal))[0]?.ok, true)
    const [got] = await receiveAll(t, mine.receiver, 1)
    assert.deepEqual([got?.id, got?.correlationId], [reply.id, 'c'])
    await mine.receiver.close(signal)
    await adapter.disconnect(signal)
    assert.equal((await other.publish([outbound({ reply: mine.address })], signal))[0]?.ok, true)
    assert.deepEqual([...(await theirs.receiver.receive(10, signal, 50))], [])
  })
})
