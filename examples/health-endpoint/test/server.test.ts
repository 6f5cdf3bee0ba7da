import { MessageQueueFactory, RejectError, type MessageQueue } from '@mq/core'
import { startExample } from '@mq/example-runner'
import { afterEach, describe, expect, it } from '@jest/globals'
import { monitoringServer } from '../src/server.ts'
import { addressOf, askUntil, expectedAt, main } from './endpoint.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

/** A server of its own beside a broker of its own. */
async function serve(queue: MessageQueue): Promise<string> {
  const server = monitoringServer(queue, ['orders'])
  open.push({ close: () => queue.disconnect({ timeoutMs: 0 }) }, server)
  return server.listen({ host: '127.0.0.1', port: 0 })
}

describe('the program', () => {
  it('answers, drains on a signal, and prints what it says it prints', async () => {
    const program = startExample(main, { PORT: '0' })
    const address = await addressOf(program)
    const health = await askUntil(`${address}/health/messaging`, () => true)
    expect(health.status).toBe(200)
    expect(JSON.parse(health.text)).toMatchObject({ healthy: true, broker: 'memory' })
    program.signal('SIGTERM')
    expect(await program.ended).toEqual({ code: 0, stdout: expectedAt(address), stderr: '' })
  }, 60_000)
})

describe('/health/messaging', () => {
  it('is 503 without a connection, and 200 with one', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const url = `${await serve(queue)}/health/messaging`
    const before = await askUntil(url, () => true)
    expect(before.status).toBe(503)
    expect(JSON.parse(before.text)).toMatchObject({ healthy: false, error: 'not connected (disconnected)' })
    await queue.connect()
    expect((await askUntil(url, () => true)).status).toBe(200)
  })

  it('is 503 when a handler does not return, and names its queue', async () => {
    const queue = MessageQueueFactory.createQueue({
      connection: { url: 'memory://stuck' },
      consumer: { maxPollIntervalMs: 200 },
    })
    const url = `${await serve(queue)}/health/messaging`
    await queue.connect()
    let release = (): void => undefined
    const hanging = new Promise<void>((resolve) => (release = resolve))
    await queue.consume('orders', () => hanging)
    await queue.send('orders', 'never done')
    const { text } = await askUntil(url, ({ status }) => status === 503)
    expect(JSON.parse(text)).toMatchObject({
      healthy: false,
      error: expect.stringContaining('no progress on orders'),
    })
    release()
    expect((await askUntil(url, ({ status }) => status === 200)).status).toBe(200)
  })
})

describe('/metrics', () => {
  it('counts what was sent, handled and put aside', async () => {
    const queue = MessageQueueFactory.createForTesting()
    const url = `${await serve(queue)}/metrics`
    await queue.connect()
    await queue.consume<string>('orders', ({ body }) => {
      if (body === 'bad') throw new RejectError('bad')
    })
    await queue.sendBatch(
      ['good', 'good', 'bad'].map((body) => ({ body })),
      { queueName: 'orders' },
    )
    const { text } = await askUntil(url, (answer) =>
      answer.text.includes('mq_dead_letters{queue="orders"} 1'),
    )
    for (const line of [
      'mq_connected 1',
      'mq_sent_total 3',
      'mq_dead_lettered_total 1',
      'mq_handler_runs_total{result="success"} 2',
      'mq_handler_runs_total{result="failure"} 1',
      'mq_handler_seconds_count 3',
      'mq_queue_ready{queue="orders"} 0',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
  })

  it('has the counters also without a connection', async () => {
    const url = `${await serve(MessageQueueFactory.createForTesting())}/metrics`
    const { status, text } = await askUntil(url, () => true)
    expect(status).toBe(200)
    expect(text).toContain('mq_connected 0\n')
    expect(text).not.toContain('mq_queue_ready{')
  })
})
