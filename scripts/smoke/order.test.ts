import { expect, it } from '@jest/globals'
import { MessageQueueFactory } from '@mq/core'

it('receives what was sent', async () => {
  const queue = MessageQueueFactory.createForTesting()
  await queue.connect()
  await queue.send('orders', { id: 7 })
  expect((await queue.receive('orders'))?.body).toEqual({ id: 7 })
  await queue.disconnect()
})
