import { describe, expect, it } from '@jest/globals'
import { MessageQueueFactory } from '../../src/factory.ts'
import type { HandlerFunction } from '../../src/consume/handler.ts'
import type { RejectOptions } from '../../src/consume/receiving.ts'
import { refusal } from '../engine-bench.ts'

const PATIENCE = { timeoutMs: 20_000 }

describe('a request that its handler rejects by hand', () => {
  const bench = async (first: RejectOptions, answer?: string) => {
    const queue = MessageQueueFactory.createForTesting()
    await queue.connect()
    const handler: HandlerFunction = async (message) => {
      if (message.deliveryCount > 0) {
        await queue.acknowledge(message)
        return 'later'
      }
      await queue.reject(message, first)
      return answer
    }
    await queue.consume('q', handler, { acknowledgmentMode: 'manual' })
    return queue
  }

  it('has failed, for the reason that was given', async () => {
    await using queue = await bench({ reason: 'no such customer' })
    expect(await refusal(queue.request('q', 1, PATIENCE))).toMatchObject({
      code: 'MQ_REMOTE',
      remoteName: 'RejectError',
      message: 'no such customer',
    })
  })

  it('is answered by the run that it is brought back for', async () => {
    await using queue = await bench({ requeue: true })
    expect(await queue.request('q', 1, PATIENCE)).toMatchObject({ body: 'later' })
  })

  it('is answered at once by what its handler answers all the same', async () => {
    await using queue = await bench({ reason: 'no such customer' }, 'declined')
    expect(await queue.request('q', 1, PATIENCE)).toMatchObject({ body: 'declined' })
  })
})
