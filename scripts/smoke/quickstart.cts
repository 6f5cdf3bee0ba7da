import assert = require('node:assert/strict')
import core = require('@mq/core')

async function main(): Promise<void> {
  const config = core.MessageQueueConfig.parse({ broker: core.MessageBroker.MEMORY })
  const queue = core.MessageQueueFactory.createQueue(config)

  await queue.connect()
  const id = await queue.send(new core.Message({ body: 'Hello, World!', queueName: 'test_queue' }))
  const received = await queue.receive('test_queue', { timeoutMs: 1000 })
  assert(received)
  assert.equal(received.id, id)
  assert.equal(received.body, 'Hello, World!')
  await queue.acknowledge(received)
  await queue.disconnect()
  console.log(`require: ${process.version} received ${String(received.body)}`)
}

void main()
