import { expect, it } from '@jest/globals'
import { ErrorCode } from '../src/error-codes.ts'
import { MessageQueueError } from '../src/errors.ts'
import { queueBench } from './engine-bench.ts'

it('an error that its owner froze goes through a send as it is', async () => {
  const { queue } = queueBench()
  await queue.connect()
  const frozen = Object.freeze(new MessageQueueError('closed today', { code: ErrorCode.VALIDATION }))
  queue.addMiddleware({
    name: 'refuses',
    send: () => {
      throw frozen
    },
  })
  await expect(queue.send('q', 1)).rejects.toBe(frozen)
  await expect(queue.sendBatch([{ queueName: 'q', body: 1 }])).rejects.toMatchObject({
    failures: [{ certainty: 'not-stored', cause: frozen }],
  })
  await queue.disconnect()
})
