import assert from 'node:assert/strict'
import { MessageQueue, MessageQueueFactory } from '@mq/core'
import { idle, quietMemory, record, seedRandom, virtualClock, withFaults } from '@mq/testing'
import { startPayments, type Bank, type Payment } from './payments.ts'

/** Stands for any test runner: Jest's `it`, Vitest's, `node:test`'s. */
async function it(title: string, run: () => Promise<void>): Promise<void> {
  await run()
  console.log(`ok: ${title}`)
}

const nothing = (): void => undefined
/** The faults are ours: nobody needs to be warned. */
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** A broker of its own in memory; before a release the same tests run on the server that MESSAGE_BROKER names. */
const newQueue = (): MessageQueue =>
  process.env['MESSAGE_BROKER']
    ? MessageQueueFactory.createQueueFromEnv()
    : MessageQueueFactory.createForTesting()

const openBank = (): Bank & { readonly paid: Map<string, number> } => {
  const paid = new Map<string, number>()
  return {
    paid,
    transfer({ id, cents }) {
      paid.set(id, cents)
      return Promise.resolve()
    },
  }
}

await it('a payment is made, and a receipt is sent', async () => {
  const queue = newQueue()
  const seen = record(queue)
  await queue.connect()
  const bank = openBank()
  await startPayments(queue, bank)

  await queue.send('payments', { id: 'a', cents: 1250 })
  await idle(queue)

  seen.assertHandled('payments', { id: 'a', cents: 1250 })
  seen.assertSent('receipts', { paid: 'a' })
  assert.equal(bank.paid.get('a'), 1250)
  await queue.disconnect()
})

await it('a payment of nothing is put aside, and no receipt is sent', async () => {
  const queue = newQueue()
  const seen = record(queue)
  await queue.connect()
  await startPayments(queue, openBank())

  await queue.send('payments', { id: 'b', cents: 0 })
  await idle(queue)

  seen.assertDeadLettered('payments', 'rejected')
  assert.throws(() => seen.assertSent('receipts'), /no message of receipts was sent/)
  await queue.disconnect()
})

await it('a bank that is closed for a week is asked until it opens', async () => {
  const clock = virtualClock()
  const queue = new MessageQueue(quietMemory(clock), {}, { clock })
  const seen = record(queue)
  await queue.connect()
  const opensAt = clock.now() + 7 * 24 * 60 * 60 * 1000
  await startPayments(queue, {
    transfer: () => (clock.now() < opensAt ? Promise.reject(new Error('closed')) : Promise.resolve()),
  })

  await queue.send('payments', { id: 'c', cents: 99 })
  await clock.advanceUntil(() => seen.handled.length > 0)

  assert.ok(clock.now() >= opensAt && clock.now() < opensAt + 2 * 60 * 60 * 1000, 'paid soon after it opened')
  assert.ok(seen.failed.length > 100, 'asked about once an hour')
  assert.equal(seen.deadLettered.length, 0)
  await queue.disconnect()
})

await it('every payment is made once, whatever the broker and the network do', async () => {
  const seed = Number(process.env['SEED'] ?? 2012)
  const restore = seedRandom(seed)
  const clock = virtualClock()
  const plan = {
    loseAcknowledgement: 0.1,
    deliverTwice: 0.1,
    crashAfterHandler: 0.05,
    cut: [2],
    limit: 20,
  }
  const adapter = withFaults(quietMemory(clock), plan, seed, clock)
  const queue = new MessageQueue(adapter, {}, { clock, logger: quiet })
  const seen = record(queue)
  await queue.connect()
  const bank = openBank()
  await startPayments(queue, bank)

  const payments = Array.from({ length: 100 }, (_, i): Payment => ({ id: `p${i}`, cents: 100 + i }))
  const sends = payments.map((payment) => queue.send('payments', payment))
  try {
    await clock.advanceUntil(() => payments.every(({ id }) => bank.paid.has(id)))
    await clock.advance(60_000)
  } catch (error) {
    throw new Error(`SEED=${seed} repeats this: ${JSON.stringify(adapter.injected)}`, { cause: error })
  }
  await Promise.all(sends)

  assert.equal(bank.paid.size, 100)
  assert.ok(adapter.injected.length > 0, 'something went wrong on the way')
  assert.ok(seen.handled.length + seen.failed.length > 100, 'some were handled twice')
  const left = queue.disconnect()
  await clock.advance(60_000)
  await left
  restore()
})
