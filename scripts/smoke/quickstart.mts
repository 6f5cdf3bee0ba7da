import assert from 'node:assert/strict'
import { Message, MessageBroker, MessageQueueConfig, MessageQueueFactory } from '@mq/core'

const config = MessageQueueConfig.parse({ broker: MessageBroker.MEMORY })
const queue = MessageQueueFactory.createQueue(config)

await queue.connect()
const id = await queue.send(new Message({ body: 'Hello, World!', queueName: 'test_queue' }))
await queue.send('test_queue', { any: 'json' }, { headers: { tenant: 'a' } })

const first = await queue.receive('test_queue', { timeoutMs: 1000 })
assert(first)
assert.equal(first.id, id)
assert.equal(first.body, 'Hello, World!')
await queue.acknowledge(first)

const second = await queue.receive('test_queue', { timeoutMs: 1000 })
assert(second)
assert.deepEqual(second.body, { any: 'json' })
assert.equal(second.headers['tenant'], 'a')
await queue.acknowledge(second)

assert.equal(await queue.getQueueSize('test_queue'), 0)
await queue.disconnect()
console.log(`import: ${process.version} received ${String(first.body)}`)
