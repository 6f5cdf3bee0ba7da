import { expect, it } from '@jest/globals'
import { Message, MessageQueueFactory, MessageQueueManager, RetryError } from '../src/index.ts'

/** Every field there and undefined: as a caller passes on what it may have got. */
function none(...names: string[]): object {
  return Object.fromEntries(names.map((name) => [name, undefined]))
}

it('an option that is undefined is one that was not given', async () => {
  const options = none('logger', 'tracer', 'clock', 'codecs', 'deduplicationStore')
  const queue = MessageQueueFactory.createForTesting(options)
  await queue.connect()
  await queue.send({ queueName: 'q', body: 1 }, none('queueName', 'routingKey', 'signal'))
  await queue.sendBatch([{ queueName: 'q', body: 1 }], none('queueName', 'routingKey', 'signal'))
  const fields = Object.keys(new Message()).filter((field) => field !== 'headers')
  await queue.send('q', 1, none(...fields, 'headers'))
  await queue.publish('t', 1, none(...fields))
  for (let i = 0; i < 2; i++) {
    const message = await queue.receive('q', none('timeoutMs', 'leaseMs'))
    await queue.reject(message as Message, none('requeue', 'delayMs', 'reason'))
  }
  for await (const message of queue.messages('q', none('prefetch', 'leaseMs'))) {
    await queue.acknowledge(message)
    break
  }
  const retry = none('maxRetries', 'delayMs', 'backoff', 'maxDelayMs', 'jitter')
  const handler = none(
    ...['concurrency', 'prefetch', 'batch', 'timeoutMs', 'retry', 'deadLetterQueue', 'schema'],
    ...['acknowledgmentMode', 'rateLimit', 'circuitBreaker'],
  )
  const consumer = await queue.consume('q', ({ body }) => body, handler)
  const reply = await queue.request('q', 7, { timeoutMs: 5000, ...none('signal') })
  expect(reply.body).toBe(7)
  await consumer.stop(none('timeoutMs'))
  await queue.subscribe('t', 's', () => undefined, { ...handler, retry, ...none('pattern') })
  const dead = queue.deadLetters('q')
  expect((await dead.list(none('limit', 'filter', 'cursor'))).messages).toHaveLength(2)
  expect(
    await dead.redrive({ ...none('filter', 'limit', 'ratePerSecond', 'edit', 'dryRun'), to: 'r' }),
  ).toMatchObject({
    moved: 2,
  })
  expect(await dead.purge(none('filter'))).toBe(0)
  await queue.disconnect(none('timeoutMs'))
  expect(new RetryError('later', none('delayMs', 'cause')).delayMs).toBeUndefined()
  await new MessageQueueManager({}, none('logger', 'clock')).stop(none('timeoutMs'))
})
