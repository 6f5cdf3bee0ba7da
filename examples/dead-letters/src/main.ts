import { EventEmitter, once } from 'node:events'
import { DeadLetterReason, MessageQueueFactory, RejectError, type Message } from '@mq/core'

interface Payment {
  readonly amount: number
  readonly currency: string
}

const queue = MessageQueueFactory.createQueueFromEnv() // MESSAGE_BROKER; in memory by default
await queue.connect()

const rates: Record<string, number> = { EUR: 1.08, GBP: 1.27 }
const booked: string[] = []
let putAside = 0
const progress = new EventEmitter()
const until = async (reached: () => boolean): Promise<void> => {
  while (!reached()) await once(progress, 'change')
}

// Fail: a rate that we forgot is retried in vain; an amount that nobody can pay is not worth a retry.
await queue.consume<Payment>(
  'payments',
  ({ id, body: { amount, currency } }) => {
    if (!(amount > 0)) throw new RejectError(`${amount} ${currency} cannot be paid`)
    const rate = rates[currency]
    if (rate === undefined) throw new Error(`no rate for ${currency}`)
    booked.push(`${id} ${(amount * rate).toFixed(2)} USD`)
    progress.emit('change')
  },
  { retry: { maxRetries: 2, delayMs: 100 } },
)
queue.on('deadLetter', () => {
  putAside++
  progress.emit('change')
})
await queue.sendBatch(
  [
    { id: 'pay-1', body: { amount: 100, currency: 'EUR' } },
    { id: 'pay-2', body: { amount: 9000, currency: 'JPY' } },
    { id: 'pay-3', body: { amount: -20, currency: 'GBP' } },
    { id: 'pay-4', body: { amount: 0, currency: 'EUR' } },
    { id: 'pay-5', body: { amount: 5000, currency: 'JPY' } },
  ],
  { queueName: 'payments' },
)
await until(() => booked.length + putAside === 5)
console.log(`booked: ${booked.join(', ')}`)

// Look: nothing is taken, and every letter says what happened to it.
const letters = queue.deadLetters('payments')
const { messages } = await letters.list()
console.log(`${messages.length} dead letters:`)
for (const { id, deadLetter } of messages.sort((first, second) => first.id.localeCompare(second.id))) {
  console.log(`  ${id} ${deadLetter?.reason}, attempt ${deadLetter?.attempts}: ${deadLetter?.error.message}`)
}

// Fix, then redrive: first without moving anything, to see how many it would be.
rates['JPY'] = 0.0067
const filter = ({ deadLetter }: Message): boolean => deadLetter?.reason === DeadLetterReason.MAX_RETRIES
const planned = await letters.redrive({ filter, dryRun: true })
const { moved } = await letters.redrive({ filter })
console.log(`rate added: ${planned.moved} would move, ${moved} moved`)

// What was wrong in the message itself is changed on its way back.
const turned = await letters.redrive({
  filter: ({ id }) => id === 'pay-3',
  edit: (message) => {
    const { amount, currency } = message.body as Payment
    message.body = { amount: Math.abs(amount), currency }
  },
})
console.log(`sign corrected: ${turned.moved} moved`)
await until(() => booked.length === 4)
console.log(`booked: ${booked.sort().join(', ')}`)

// The rest is nobody's any more.
console.log(`dropped: ${await letters.purge()}, left: ${await letters.count()}`)
await queue.disconnect()
