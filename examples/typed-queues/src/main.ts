import { once } from 'node:events'
import { ErrorCode, MessageQueueError, MessageQueueFactory } from '@mq/core'
import { invoices, orders } from './queues.ts'

const queue = MessageQueueFactory.createQueueFromEnv() // MESSAGE_BROKER; in memory by default
await queue.connect()

// The compiler knows the bodies, and no handler ever sees another one.
let arrive = (): void => undefined
const arrived = new Promise<void>((resolve) => (arrive = resolve))
await queue.subscribe(invoices, 'bookkeeping', ({ body: { customer, total, currency } }) => {
  console.log(`invoice: ${customer} pays ${total.toFixed(2)} ${currency}`)
  arrive()
})
await queue.consume(orders, async ({ id, body: { customer, prices } }) => {
  console.log(`order ${id}: ${prices.length} lines of ${customer}`)
  const total = prices.reduce((sum, price) => sum + price, 0)
  await queue.publish(invoices, { customer, total, currency: 'EUR' })
})
await queue.send(orders, { customer: 'ada', prices: [12.5, 30] }, { id: 'order-1', key: 'ada' })
await arrived

// A sender that is wrong is stopped by the compiler, and at run time where no compiler was asked.
// @ts-expect-error: prices are numbers
const wrong = queue.send(orders, { customer: 'bob', prices: ['free'] }, { key: 'bob' })
await wrong.catch((error: unknown) => {
  if (!MessageQueueError.is(error) || error.code !== ErrorCode.VALIDATION) throw error
  console.log(`${error.code}: ${error.message}`)
})

// One that goes by the name alone is another program, which knows no schema: its message is put aside on arrival.
const putAside = once(queue, 'deadLetter')
const stranger = MessageQueueFactory.createQueueFromEnv()
await stranger.connect()
await stranger.send('orders', { customer: 'eve' }, { id: 'order-3', key: 'eve' })
await putAside
for (const { id, deadLetter } of (await queue.deadLetters(orders).list()).messages) {
  console.log(`${id} ${deadLetter?.reason}: ${deadLetter?.error.message}`)
}
await Promise.all([stranger.disconnect(), queue.disconnect()])
