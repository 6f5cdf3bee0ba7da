import { describe, expect, it } from '@jest/globals'
import type { SettleOutcome } from '../../src/adapter/contract.ts'
import { type Message } from '../../src/message/message.ts'
import { delivery } from '../fake-adapter.ts'
import { lastOf, queueBench, refusal, until } from '../engine-bench.ts'

const refused = () => Object.assign(new Error('READONLY'), { client: true })

describe('what cannot be removed', () => {
  it.each<[string, () => Promise<SettleOutcome>]>([
    ['throws', () => Promise.reject(refused())],
    ['answers with an error', () => Promise.resolve({ error: refused() })],
  ])('fails with an error of this library where the adapter %s', async (_how, onSettle) => {
    const { queue, adapter } = queueBench()
    await queue.connect()
    adapter.onSettle = onSettle
    const failed = refusal(queue.deadLetters('q').purge({ filter: () => true }))
    await until(() => adapter.receivers.length === 1)
    lastOf(adapter.receivers).give(delivery('a'))
    expect(await failed).toMatchObject({
      message: 'Cannot remove from q.dlq: READONLY',
      cause: { client: true },
    })
    await queue.disconnect()
  })
})

describe('what was only looked at', () => {
  async function looked() {
    const { queue, adapter } = queueBench()
    await queue.connect()
    const listed = queue.deadLetters('q').list({ limit: 1 })
    await until(() => adapter.receivers.length === 1)
    lastOf(adapter.receivers).give(delivery('a'))
    const [message] = (await listed).messages
    return { queue, message: message as Message }
  }

  it('is nobody’s to settle', async () => {
    const { queue, message } = await looked()
    for (const settle of [
      () => queue.acknowledge(message),
      () => queue.reject(message),
      () => queue.extend(message, 1000),
    ]) {
      expect(await refusal(settle())).toMatchObject({ code: 'MQ_VALIDATION' })
    }
    await queue.disconnect()
  })

  it('is run by processMessage like one that was not received', async () => {
    const { queue, message } = await looked()
    queue.registerFunctionHandler('q.dlq', ({ id }) => `handled ${id}`)
    await expect(queue.processMessage(message)).resolves.toBe('handled a')
    await queue.disconnect()
  })
})
