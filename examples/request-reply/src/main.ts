import { once } from 'node:events'
import { ErrorCode, MessageQueueError, MessageQueueFactory } from '@mq/core'

interface Division {
  readonly dividend: number
  readonly divisor: number
}

// Two connections, as of two processes; in memory they share the broker.
const service = MessageQueueFactory.createQueueFromEnv()
const client = MessageQueueFactory.createQueueFromEnv()
await Promise.all([service.connect(), client.connect()])

// The service: what a handler returns is the answer, and what it throws is told to the client.
await service.consume<Division>(
  'divide',
  ({ body: { dividend, divisor } }) => {
    if (divisor === 0) throw new RangeError('cannot divide by zero')
    return { quotient: Math.floor(dividend / divisor), remainder: dividend % divisor }
  },
  { concurrency: 4 },
)
const putAside = once(service, 'deadLetter')

// The client: each request waits for its own answer, whatever the order in which they come.
const divide = async (dividend: number, divisor: number): Promise<string> => {
  const request: Division = { dividend, divisor }
  const { body } = await client.request('divide', request, { timeoutMs: 10_000 })
  return `${dividend} / ${divisor} = ${JSON.stringify(body)}`
}
console.log(await divide(42, 5))
console.log((await Promise.all([divide(1, 3), divide(9, 4), divide(100, 7)])).join('\n'))

// A failed handler rejects the request; it is not run again, and its message is kept.
await divide(1, 0).catch((error: unknown) => {
  if (!MessageQueueError.is(error) || error.code !== ErrorCode.REMOTE) throw error
  console.log(`${error.code}: ${error.name}, ${error.message}`)
})
await putAside
const { messages } = await service.deadLetters('divide').list()
console.log(`kept: ${messages.map(({ body }) => JSON.stringify(body)).join(', ')}`)

// Nobody consumes this queue. The request expires with its time-out, so no later service answers it in vain.
await client.request('multiply', { by: 2 }, { timeoutMs: 500 }).catch((error: unknown) => {
  if (!MessageQueueError.is(error) || error.code !== ErrorCode.REQUEST_TIMEOUT) throw error
  console.log(`${error.code}: nobody answered within 500 ms`)
})
await Promise.all([client.disconnect(), service.disconnect()])
