import { expect, it } from '@jest/globals'
import { ErrorCode } from '../../src/adapter/index.ts'
import type { Message } from '../../src/message/message.ts'
import { connectedBench, deferred, lastOf, queueBench, refusal, until } from '../engine-bench.ts'
import { resolveQueue } from '../../src/message/typed.ts'
import { delivery } from '../fake-adapter.ts'

it('reject refuses a longer delay than the broker’s, and leaves the message unsettled', async () => {
  const bench = await connectedBench()
  const receiving = bench.receiving.receive(resolveQueue('q'), { timeoutMs: 1000 })
  await until(() => bench.adapter.receivers.length === 1)
  const receiver = lastOf(bench.adapter.receivers)
  receiver.give(delivery('a'))
  const message = (await receiving) as Message
  const rejecting = bench.receiving.reject(message, { requeue: true, delayMs: 1_000_001 })
  expect((await refusal(rejecting)).code).toBe(ErrorCode.UNSUPPORTED)
  await bench.receiving.reject(message, { requeue: true, delayMs: 1_000_000 })
  expect(receiver.settled).toMatchObject([{ kind: 'retry', delayMs: 1_000_000 }])
  await bench.receiving.close()
})

it('a message that was given back is lost to who received it, and not settled by them', async () => {
  const bench = await connectedBench()
  const receiving = bench.receiving.receive(resolveQueue('q'), { timeoutMs: 1000 })
  await until(() => bench.adapter.receivers.length === 1)
  lastOf(bench.adapter.receivers).give(delivery('a'))
  const message = (await receiving) as Message
  await bench.receiving.close()
  expect((await refusal(bench.receiving.acknowledge(message))).code).toBe(ErrorCode.LEASE_LOST)
  expect((await refusal(bench.receiving.reject(message, {}))).code).toBe(ErrorCode.LEASE_LOST)
})

it.each(['receive', 'messages'] as const)(
  '%s hands out nothing that was delivered too often, but of a dead-letter queue',
  async (call) => {
    const bench = await connectedBench()
    const { receiving } = bench
    const next = (name: string) => {
      const queue = resolveQueue(name)
      if (call === 'receive') return receiving.receive(queue, { timeoutMs: 5_000 })
      return receiving
        .messages(queue, {})
        .next()
        .then(({ value }) => value as Message)
    }
    const poisoned = next('q')
    await until(() => bench.adapter.receivers.length === 1)
    const receiver = lastOf(bench.adapter.receivers)
    receiver.give(delivery('bad', { redeliveries: 21 }), delivery('good', { redeliveries: 20 }))
    expect((await poisoned)?.id).toBe('good')
    await until(() => receiver.settled.length === 1)
    expect(receiver.settled).toMatchObject([{ kind: 'deadLetter', reasons: ['delivery-limit'] }])
    const looked = next('q.dlq')
    await until(() => bench.adapter.receivers.length === 2)
    lastOf(bench.adapter.receivers).give(delivery('dead', { redeliveries: 100 }))
    expect((await looked)?.id).toBe('dead')
    await receiving.close()
  },
)

it('receive that waits hears of it when its queue is deleted', async () => {
  const { queue, adapter } = queueBench()
  await queue.connect()
  const waiting = refusal(queue.receive('q', { timeoutMs: 5_000 }))
  await until(() => adapter.receivers.length === 1)
  await queue.deleteQueue('q')
  expect(await waiting).toMatchObject({ code: ErrorCode.QUEUE_NOT_FOUND })
  expect(adapter.declared).toHaveLength(1)
  await queue.disconnect()
})

it.each(['receive', 'messages'] as const)(
  '%s that is still declaring its queue ends with everything else',
  async (call) => {
    const bench = await connectedBench()
    const { receiving } = bench
    const queue = resolveQueue('q')
    const calling =
      call === 'receive'
        ? receiving.receive(queue, { timeoutMs: 60_000 })
        : receiving.messages(queue, {}).next()
    await receiving.close()
    expect((await refusal(calling)).code).toBe(ErrorCode.NOT_CONNECTED)
    expect((await refusal(receiving.receive(queue, {}))).code).toBe(ErrorCode.NOT_CONNECTED)
    expect(bench.adapter.receivers).toEqual([])
  },
)

it('takes nothing more while a shutdown waits for handlers; what was received can be settled meanwhile', async () => {
  const { queue, adapter } = queueBench()
  await queue.connect()
  const receiving = queue.receive('mine', { timeoutMs: 5_000 })
  await until(() => adapter.receivers.length === 1)
  const mine = lastOf(adapter.receivers)
  mine.give(delivery('a'))
  const message = (await receiving) as Message
  const gate = deferred()
  const consumer = await queue.consume('q', () => gate.promise)
  lastOf(adapter.receivers).give(delivery('b'))
  await until(() => consumer.stats().running === 1)
  const waiting = refusal(queue.receive('mine', { timeoutMs: 60_000 }))
  const disconnected = queue.disconnect()
  expect((await waiting).code).toBe(ErrorCode.NOT_CONNECTED)
  for (const name of ['mine', 'other'])
    expect((await refusal(queue.receive(name))).code).toBe(ErrorCode.NOT_CONNECTED)
  await queue.acknowledge(message)
  expect(mine.settled).toMatchObject([{ kind: 'ack', ids: ['a'] }])
  gate.resolve()
  expect(await disconnected).toEqual({ drained: true, abandoned: [] })
})
