import { describe, expect, it } from '@jest/globals'
import { defineQueue, defineTopic, Message, MessageQueueFactory, RejectError, subscription } from '@mq/core'
import { idle, record } from '../src/index.ts'

describe('record', () => {
  it('shows what was sent, handled, failed and dead-lettered', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    await queue.consume<number>('orders', async ({ body }) => {
      if (body === 0) throw new RejectError('nothing ordered')
      await queue.send('invoices', { of: body })
    })
    await queue.consume('invoices', () => undefined)
    await queue.sendBatch([0, 1].map((body) => ({ body, queueName: 'orders' })))
    await idle(queue)

    seen.assertSent('orders', 0)
    seen.assertSent('invoices', { of: 1 })
    seen.assertHandled('orders', 1)
    seen.assertHandled('invoices')
    seen.assertDeadLettered('orders', 'rejected')
    expect(seen.failed.map(({ error }) => String(error))).toEqual([expect.stringMatching(/nothing ordered/)])

    expect(() => seen.assertSent('invoices', { of: 2 })).toThrow(
      /no message of invoices with the body \{ of: 2 \} was sent; these were:\n(.*\n)* {2}invoices: \{ of: 1 \}/,
    )
    expect(() => seen.assertHandled('orders', 0)).toThrow(/was handled/)
    expect(() => seen.assertHandled('elsewhere')).toThrow(/elsewhere/)
    expect(() => seen.assertDeadLettered('invoices')).toThrow(/orders: rejected/)
    await queue.disconnect()
  })

  it('compares a body that is undefined, and says when there was nothing', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    expect(() => seen.assertSent('q', undefined)).toThrow(/none/)
    await queue.send('q', 1)
    expect(() => seen.assertSent('q', undefined)).toThrow(/q: 1/)
    await queue.disconnect()
  })

  it('compares what JSON makes of a body, and bytes by their values', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    await queue.consume('q', () => undefined)
    const at = new Date(0)
    await queue.send('q', { a: undefined, at })
    await queue.send('q', Buffer.from('bytes'))
    await idle(queue)
    for (const assertIn of [seen.assertSent, seen.assertHandled]) {
      assertIn('q', { a: undefined, at })
      assertIn('q', { at: at.toISOString() })
      assertIn('q', Buffer.from('bytes'))
      assertIn('q', new TextEncoder().encode('bytes'))
      expect(() => assertIn('q', { at: new Date(1) })).toThrow(/1970-01-01T00:00:00.001Z/)
      expect(() => assertIn('q', Buffer.from('other'))).toThrow(/q/)
    }
    await queue.disconnect()
  })

  it('keeps what was sent, whatever becomes of the object', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    const order = { items: ['a'] }
    const bytes = new Uint8Array([1])
    const message = new Message({ body: order, queueName: 'q', headers: { h: '1' } })
    await queue.send(message)
    await queue.send('q', bytes)
    order.items.push('b')
    bytes[0] = 2
    message.headers['h'] = '2'
    expect(seen.sent.map(({ body }) => body)).toEqual([{ items: ['a'] }, new Uint8Array([1])])
    expect(seen.sent[0]).toMatchObject({ id: message.id, headers: { h: '1' }, queueName: 'q' })
    await queue.disconnect()
  })

  it('does not count what could not be sent', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    await expect(queue.send('q', 1n)).rejects.toThrow()
    expect(seen.sent).toEqual([])
    await queue.disconnect()
  })

  it('shows bodies that JSON has no form for', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    await queue.send('q', 1)
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (const [body, says] of [
      [{ id: 10n }, /id: 10n/],
      [cycle, /Circular/],
      [undefined, /the body undefined/],
    ] as const) {
      expect(() => seen.assertSent('q', body)).toThrow(says)
    }
    await queue.disconnect()
  })

  it('takes queues and topics as they are defined', async () => {
    const anything = { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) } as const
    const schema = { '~standard': anything }
    const [orders, events] = [defineQueue('orders', { schema }), defineTopic('events', { schema })]
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    const audit = subscription(events, 'audit')
    await queue.consume(orders, () => Promise.reject(new RejectError('never')))
    await queue.consume(audit, () => undefined)
    await queue.send(orders, { id: 1 })
    await queue.publish(events, { id: 2 })
    await idle(queue)
    seen.assertSent(orders, { id: 1 })
    seen.assertSent(events, { id: 2 })
    seen.assertHandled(audit, { id: 2 })
    seen.assertDeadLettered(orders, 'rejected')
    expect(() => seen.assertHandled(orders)).toThrow(/no message of orders was handled/)
    await queue.disconnect()
  })

  it('knows subscriptions by the name of their topic', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const seen = record(queue)
    await queue.connect()
    await queue.consume(subscription('orders', 'billing'), ({ body }) => {
      if (body === 2) throw new RejectError('never')
    })
    for (const body of [1, 2]) await queue.publish('orders', body)
    await idle(queue)
    seen.assertSent('orders', 2)
    seen.assertHandled('orders', 1)
    seen.assertDeadLettered('orders', 'rejected')
    await queue.disconnect()
  })
})
