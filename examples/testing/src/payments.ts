import { RejectError, type Consumer, type MessageQueue } from '@mq/core'

export interface Payment {
  readonly id: string
  readonly cents: number
}

/** What the program under test needs of the world. */
export interface Bank {
  /** May be called again with an id that it knows: the money moves once. */
  transfer(payment: Payment): Promise<void>
}

/** The program under test: pays what is asked for, and sends a receipt. */
export function startPayments(queue: MessageQueue, bank: Bank): Promise<Consumer> {
  return queue.consume<Payment>(
    'payments',
    async ({ body }) => {
      if (body.cents <= 0) throw new RejectError('nothing to pay')
      await bank.transfer(body)
      await queue.send('receipts', { paid: body.id })
    },
    // A bank that is closed opens again: 30 days, an hour apart at most.
    { retry: { maxRetries: 720, delayMs: 60_000, maxDelayMs: 3_600_000 } },
  )
}
