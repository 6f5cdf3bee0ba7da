import { Message, MessageBroker, MessageQueueConfig, MessageQueueFactory, RejectError } from '@mq/core'

const config = MessageQueueConfig.parse({ broker: MessageBroker.MEMORY }) // or MessageQueueConfig.fromEnv()
const queue = MessageQueueFactory.createQueue(config)
await queue.connect()

// One message: sent, received, acknowledged.
await queue.send(new Message({ body: 'Hello, World!', queueName: 'test_queue' }))
const received = await queue.receive('test_queue', { timeoutMs: 1000 })
if (received) {
  console.log(`received: ${String(received.body)}`)
  await queue.acknowledge(received)
}

// A handler: what it throws is retried after a delay, what it rejects is put aside.
let ship = (): void => undefined
const shipped = new Promise<void>((resolve) => (ship = resolve))
await queue.consume(
  'orders',
  ({ body }, { attempt }) => {
    console.log(`order ${JSON.stringify(body)}, attempt ${attempt}`)
    if (body === null) throw new RejectError('an order must not be empty')
    if (attempt === 1) throw new Error('the warehouse did not answer')
    ship()
  },
  { retry: { maxRetries: 3, delayMs: 500 } },
)
await queue.send('orders', { item: 'book' })
await queue.send('orders', null)
await shipped

const { messages } = await queue.deadLetters('orders').list()
for (const { body, deadLetter } of messages) {
  console.log(`dead letter ${JSON.stringify(body)}: ${deadLetter?.reason}, ${deadLetter?.error.message}`)
}
await queue.disconnect() // waits for running handlers, then lets the process end
