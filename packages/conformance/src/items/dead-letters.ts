import assert from 'node:assert/strict'
import { subscription, type MessageQueue } from '@mq/core'
import { startChild } from '../child-process.ts'
import type { TestContext } from '../context.ts'
import {
  CLOCKS_APART_MS,
  collect,
  drain,
  eachOnce,
  gate,
  later,
  nothing,
  numbers,
  receiveAll,
  rejects,
  sendNumbers,
  subscribe,
  take,
} from '../helpers.ts'
import { group } from '../item.ts'

type Ref = ReturnType<typeof subscription>

/** A queue with `n` dead letters, `0 … n-1`, all failed the same way. */
async function withDeadLetters(
  t: TestContext,
  n: number,
): Promise<{ queue: MessageQueue; name: string; ids: readonly string[] }> {
  const queue = await t.connect()
  const name = t.name()
  const ids = await queue.sendBatch(
    numbers(n).map((body) => ({ body, queueName: name, headers: { n: String(body) } })),
  )
  for (let i = 0; i < n; i++) await queue.reject(await take(t, queue, name), { reason: 'seeded' })
  return { queue, name, ids }
}

export const deadLetters = group('dead-letters', (item) => {
  item(
    'metadata',
    'a dead letter says why, where, when, how often and on which error it failed',
    async (t) => {
      const queue = await t.connect()
      const name = t.name()
      const before = t.now()
      await queue.send(name, 'bad')
      const delayMs = CLOCKS_APART_MS + 200
      const retry = { maxRetries: 1, delayMs, backoff: 'fixed', jitter: 0 } as const
      const inbox = await collect(t, queue, name, { retry }, () => {
        throw new RangeError('out of range')
      })
      await inbox.count(2)
      const dead = await take(t, queue, `${name}.dlq`)
      const info = dead.deadLetter
      assert.ok(info !== undefined, 'no metadata')
      assert.deepEqual(
        [info.reason, info.queue, info.subscription, info.attempts],
        ['max-retries', name, null, 2],
      )
      assert.deepEqual([info.error.name, info.error.message], ['RangeError', 'out of range'])
      assert.match(info.error.stack, /RangeError: out of range/)
      assert.ok(info.host.length > 0, 'no host')
      const [first, last] = [info.firstFailedAt.getTime(), info.lastFailedAt.getTime()]
      const [from, to] = [before - CLOCKS_APART_MS, t.now() + CLOCKS_APART_MS]
      assert.ok(first >= from && last - first >= 198 && last <= to, `failed at ${first} and ${last}`)
    },
  )

  item('content', 'a dead letter keeps body, id, key, headers and fields', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(
      name,
      { a: 'ü' },
      { headers: { h: 'v' }, key: 'k', correlationId: 'c', routingKey: 'r' },
    )
    await queue.reject(await take(t, queue, name))
    const dead = await take(t, queue, `${name}.dlq`)
    assert.deepEqual([dead.id, dead.body, dead.key, dead.correlationId], [id, { a: 'ü' }, 'k', 'c'])
    assert.deepEqual([{ ...dead.headers }, dead.routingKey], [{ h: 'v' }, 'r'])
  })

  item(
    'once',
    'a dead-lettered message is gone from its queue, and once in the dead-letter queue',
    async (t) => {
      const { queue, name, ids } = await withDeadLetters(t, 3)
      await nothing(queue, name)
      eachOnce(
        (await drain(queue, `${name}.dlq`)).map(({ id }) => id),
        ids,
      )
    },
  )

  item('event', 'the deadLetter event tells which message and why', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const events: string[] = []
    queue.on('deadLetter', (message: { id: string }, info: { reason: string }) =>
      events.push(`${message.id} ${info.reason}`),
    )
    const id = await queue.send(name, 'x')
    await queue.reject(await take(t, queue, name))
    await t.until(() => events.length > 0, 'the event')
    assert.deepEqual(events, [`${id} rejected`])
  })

  item('named', 'another dead-letter queue can be named', async (t) => {
    const queue = await t.connect()
    const [name, graveyard] = [t.name(), t.name('graveyard')]
    await queue.createQueue({ name, deadLetterQueue: graveyard })
    const id = await queue.send(name, 'x')
    await queue.reject(await take(t, queue, name))
    assert.equal((await take(t, queue, graveyard)).id, id)
  })

  item('publish-fails', 'when the dead letter cannot be stored the message is kept', async (t) => {
    const link = t.faulty()
    const queue = await t.connect({}, link.adapter)
    const name = t.name()
    const id = await queue.send(name, 'x')
    let refused = 0
    link.intercept('deadLetter', (_forward, [deliveries]) => {
      refused++
      const error = new Error('the dead-letter queue is full')
      return Promise.resolve((deliveries as unknown[]).map(() => ({ error })))
    })
    const message = await take(t, queue, name)
    void queue.reject(message).catch(() => undefined)
    await t.until(() => refused > 0, 'dead-lettering refused')
    link.intercept('deadLetter', null)
    const places = { dead: null as unknown, back: null as unknown }
    // Sizes do not tell: on some brokers they count what is leased.
    await t.until(async () => {
      places.dead = await queue.deadLetters(name).get(id)
      places.back = places.dead === null ? await queue.receive(name) : null
      return places.dead !== null || places.back !== null
    }, 'the message dead-lettered later, or back in its queue')
    const { dead, back } = places as Record<string, { readonly id: string } | null>
    assert.equal((dead ?? back)?.id, id)
    if (dead === null) assert.equal(await queue.deadLetters(name).count(), 0)
    else await t.until(async () => (await queue.getQueueSize(name)) === 0, 'it is in one place')
  })

  item('one-subscription', 'only the failing subscription retries and dead-letters', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const fine = await subscribe(t, queue, topic, 'fine')
    const retry = { maxRetries: 1, delayMs: 1, backoff: 'fixed', jitter: 0 } as const
    const failing = await subscribe(t, queue, topic, 'failing', { retry }, () => {
      throw new Error('no')
    })
    const id = await queue.publish(topic, 'x')
    const letters = queue.deadLetters(subscription(topic, 'failing'))
    await t.until(async () => (await letters.count()) === 1, 'dead-lettered')
    await fine.count(1)
    assert.deepEqual([fine.ids(), failing.ids()], [[id], [id, id]])
    const dead = await letters.get(id)
    assert.deepEqual([dead?.deadLetter?.queue, dead?.deadLetter?.subscription], [topic, 'failing'])
    assert.equal(await queue.deadLetters(subscription(topic, 'fine')).count(), 0)
  })

  item('list', 'list shows each dead letter once, and consumes nothing', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 5)
    for (let i = 0; i < 2; i++) {
      const { messages, cursor } = await queue.deadLetters(name).list({ limit: 10 })
      eachOnce(
        messages.map(({ id }) => id),
        ids,
      )
      assert.equal(cursor, null)
      assert.ok(
        messages.every(({ deadLetter }) => deadLetter?.reason === 'rejected'),
        'another reason than rejected',
      )
    }
    await t.until(async () => (await queue.deadLetters(name).count()) === 5, 'size 5')
    assert.equal((await drain(queue, `${name}.dlq`)).length, 5)
  })

  item('list-pages', 'list answers at most `limit`, and goes on from its cursor', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 7)
    const seen: string[] = []
    let cursor: string | null = null
    let pages = 0
    do {
      const page: { messages: { id: string }[]; cursor: string | null } = await queue
        .deadLetters(name)
        .list({ limit: 3, ...(cursor === null ? {} : { cursor }) })
      assert.ok(page.messages.length <= 3, 'more than the limit')
      seen.push(...page.messages.map(({ id }) => id))
      cursor = page.cursor
    } while (cursor !== null && ++pages < 10)
    eachOnce(seen, ids)
    // A cursor is the broker's own business; none is empty.
    await rejects(queue.deadLetters(name).list({ cursor: '' }), 'MQ_VALIDATION')
  })

  item('list-filter', 'list takes a filter', async (t) => {
    const { queue, name } = await withDeadLetters(t, 6)
    const filter = ({ headers }: { headers: Record<string, string> }) => Number(headers['n']) % 2 === 0
    const { messages } = await queue.deadLetters(name).list({ filter })
    eachOnce(
      messages.map(({ body }) => body),
      [0, 2, 4],
    )
  })

  item('get', 'get finds one by its id, and consumes nothing', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 3)
    const found = await queue.deadLetters(name).get(ids[1] ?? '')
    assert.deepEqual([found?.id, found?.body], [ids[1], 1])
    assert.equal(await queue.deadLetters(name).get('no such id'), null)
    await t.until(async () => (await queue.deadLetters(name).count()) === 3, 'size 3')
  })

  item('redrive-one', 'redrive moves one, as it was, its count anew and marked', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 3)
    const { moved } = await queue.deadLetters(name).redrive({ filter: ({ id }) => id === ids[1] })
    assert.equal(moved, 1)
    const again = await take(t, queue, name)
    assert.deepEqual([again.id, again.body, { ...again.headers }], [ids[1], 1, { n: '1' }])
    assert.deepEqual([again.deliveryCount, again.redriven, again.deadLetter], [0, true, undefined])
    await nothing(queue, name)
    await t.until(async () => (await queue.deadLetters(name).count()) === 2, 'size 2')
  })

  item('redrive-some', 'redrive can be limited, dry-run, edited, and sent elsewhere', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 4)
    const letters = queue.deadLetters(name)
    assert.equal((await letters.redrive({ dryRun: true })).moved, 4)
    await t.until(async () => (await letters.count()) === 4, 'size 4')
    const to = t.name('elsewhere')
    const edit = (message: { body: unknown }) => {
      message.body = `mended ${String(message.body)}`
    }
    assert.equal((await letters.redrive({ limit: 2, to, edit })).moved, 2)
    await t.until(async () => (await letters.count()) === 2, 'size 2')
    await nothing(queue, name)
    const mended = await drain(queue, to)
    assert.equal(mended.length, 2)
    for (const { id, body } of mended) assert.equal(body, `mended ${ids.indexOf(id)}`)
  })

  item('redrive-all', 'redrive moves all', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 12)
    assert.equal((await queue.deadLetters(name).redrive()).moved, 12)
    eachOnce(
      (await drain(queue, name)).map(({ id }) => id),
      ids,
    )
    await t.until(async () => (await queue.deadLetters(name).count()) === 0, 'size 0')
  })

  item('redrive-subscription', 'redrive reaches only the subscription that failed', async (t) => {
    const queue = await t.connect()
    const topic = t.name('topic')
    const [failed, ...others] = ['m', 'a', 'z'].map((name) => subscription(topic, name)) as [Ref, Ref, Ref]
    // Whichever is first, by its name or by its age.
    for (const name of ['a', 'm', 'z']) await queue.createSubscription(topic, name)
    const id = await queue.publish(topic, 'x')
    await queue.reject(await take(t, queue, failed))
    for (const other of others) await queue.acknowledge(await take(t, queue, other))
    assert.equal((await queue.deadLetters(failed).redrive()).moved, 1)
    assert.equal((await take(t, queue, failed)).id, id)
    for (const other of others) await nothing(queue, other)
  })

  item('purge', 'purge removes all, or those that match, and answers how many', async (t) => {
    const { queue, name } = await withDeadLetters(t, 5)
    const letters = queue.deadLetters(name)
    assert.equal(await letters.purge({ filter: ({ body }) => (body as number) < 2 }), 2)
    eachOnce(
      (await letters.list()).messages.map(({ body }) => body),
      [2, 3, 4],
    )
    assert.equal(await letters.purge(), 3)
    await t.until(async () => (await letters.count()) === 0, 'size 0')
  })

  item(
    'ordinary-queue',
    'a dead-letter queue is an ordinary queue: size, receive, acknowledge, consume',
    async (t) => {
      const { queue, name } = await withDeadLetters(t, 3)
      await t.until(async () => (await queue.getQueueSize(`${name}.dlq`)) === 3, 'size 3')
      await queue.acknowledge(await take(t, queue, `${name}.dlq`))
      const inbox = await collect(t, queue, `${name}.dlq`)
      await inbox.count(2)
      await inbox.consumer.stop()
      await nothing(queue, `${name}.dlq`)
    },
  )

  item(
    'poison',
    'a message that kills its process ends in the dead-letter queue without running again',
    async (t) => {
      const name = t.name()
      const config = t.shortLease(300)
      const queue = await t.connect(config)
      await queue.createQueue({ name, maxRedeliveries: 2 })
      const id = await queue.send(name, 'poison')
      let runs = 0
      for (let i = 0; i < 8 && (await queue.deadLetters(name).count()) === 0; i++) {
        const before = runs
        const stopped = () => runs > before
        if (t.harness.process?.shared === true) {
          const child = startChild(t, 'crash', name)
          // A process takes its time: how long it may is said by the wait for its end.
          const over = async () => {
            while (child.alive() && (await queue.deadLetters(name).count()) === 0) await t.quiet(50)
          }
          await Promise.race([later(child.ended()), later(over())])
          if (!child.alive() && (await child.ended()).signal === 'SIGKILL') runs++
        } else {
          const link = t.faulty()
          const dying = await t.connect(config, link.adapter)
          await dying.createQueue({ name, maxRedeliveries: 2 })
          await collect(t, dying, name, {}, () => {
            runs++
            void link.crash()
            return new Promise<never>(() => undefined)
          })
          await t.until(
            async () => stopped() || (await queue.deadLetters(name).count()) > 0,
            'a run, or the end',
          )
        }
      }
      const dead = await queue.deadLetters(name).get(id)
      assert.deepEqual([dead?.deadLetter?.reason, dead?.deliveryCount], ['delivery-limit', 0])
      if (t.capabilities.redeliveries === 'count') assert.ok(runs <= 3, `${runs} processes died of it`)
      else t.refused('redeliveries')
    },
    // Four processes are started one after the other, and three times a lease runs out.
    { slowness: 3 },
  )

  item(
    'give-backs',
    'giving back twenty times never dead-letters, nor counts',
    async (t) => {
      const name = t.name()
      const sender = await t.connect()
      const id = await sender.send(name, 'x')
      for (let i = 0; i < 20; i++) {
        const queue = await t.connect()
        const message = await take(t, queue, name)
        assert.deepEqual([message.id, message.deliveryCount], [id, 0])
        await queue.disconnect()
      }
      const inbox = await collect(t, sender, name)
      await inbox.count(1)
      assert.deepEqual([inbox.ids(), inbox.messages[0]?.deliveryCount], [[id], 0])
      assert.equal(await sender.deadLetters(name).count(), 0)
    },
    { slowness: 2 },
  )

  item('no-expiry', 'a dead letter does not expire with the message’s own ttl', async (t) => {
    const queue = await t.connect()
    const name = t.name()
    const id = await queue.send(name, 'x', { ttl: 60_000 })
    const message = await take(t, queue, name)
    await queue.reject(message)
    const adapter = await t.connected()
    const receiver = await adapter.open(
      {
        target: { queue: `${name}.dlq` },
        mode: 'consume',
        prefetch: 1,
        leaseMs: 30_000,
        ordered: false,
        after: undefined,
      },
      () => undefined,
    )
    const [dead] = await receiveAll(t, receiver, 1)
    assert.deepEqual([dead?.id, dead?.expiresAt], [id, undefined])
  })

  item('busy', 'list and redrive work while the queue is being consumed', async (t) => {
    const { queue, name, ids } = await withDeadLetters(t, 4)
    const door = gate()
    const inbox = await collect(t, queue, name, { concurrency: 2 }, () => door.passed)
    await sendNumbers(queue, name, 2)
    await inbox.count(2)
    assert.equal((await queue.deadLetters(name).list()).messages.length, 4)
    assert.equal((await queue.deadLetters(name).redrive()).moved, 4)
    door.open()
    await inbox.count(6)
    eachOnce(inbox.ids().slice(2), ids)
  })
})
