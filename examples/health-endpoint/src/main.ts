import { MessageQueueFactory } from '@mq/core'
import { monitoringServer } from './server.ts'

const queue = MessageQueueFactory.createQueueFromEnv() // MESSAGE_BROKER; in memory by default
const server = monitoringServer(queue, ['orders'])
await queue.connect()

// The queue first: while it drains, the endpoint tells the load balancer that no more work should come here.
let stopping: Promise<void> | undefined
async function stop(): Promise<void> {
  const { drained } = await queue.disconnect({ timeoutMs: 10_000 })
  await server.close()
  console.log(drained ? 'stopped, everything handled' : 'stopped, what was under way comes again')
}
// Once, however often: package managers pass on the Ctrl-C that a terminal has sent already.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void (stopping ??= stop()))

await queue.consume<{ item: string }>('orders', ({ body }) => console.log(`order: ${body.item}`))

const address = await server.listen({ host: '127.0.0.1', port: Number(process.env['PORT'] || 3000) })
console.log(`health: ${address}/health/messaging, metrics: ${address}/metrics`)
await queue.send('orders', { item: 'book' })
