import { describe, expect, it } from '@jest/globals'
import { MessageQueueFactory } from '../../src/factory.ts'
import { MessageQueueManager } from '../../src/manage/manager.ts'
import type { Message } from '../../src/message/message.ts'
import { messageHandler } from '../../src/decorators.ts'
import { LoggingMiddleware } from '../../src/middleware/logging.ts'
import { MetricsMiddleware } from '../../src/middleware/metrics.ts'
import { subscription } from '../../src/message/typed.ts'
import { recordingLogger } from '../middleware/recording-logger.ts'

class Collector {
  readonly bodies: unknown[] = []
  #wanted = 0
  #done: () => void = () => undefined

  @messageHandler('orders')
  onOrder(message: Message) {
    this.take(message)
  }

  take(message: Message) {
    this.bodies.push(message.body)
    if (this.bodies.length === this.#wanted) this.#done()
  }

  async until(count: number) {
    this.#wanted = count
    if (this.bodies.length < count) await new Promise<void>((resolve) => (this.#done = resolve))
  }
}

describe('MessageQueueManager with real queues', () => {
  it('starts decorated handlers and subscriptions, routes sends, and adds up', async () => {
    const { logger, lines } = recordingLogger()
    const metrics = new MetricsMiddleware()
    const [orders, events] = [
      MessageQueueFactory.createForTesting({ logger }),
      MessageQueueFactory.createForTesting(),
    ]
    const collector = new Collector()
    orders.addMiddleware(metrics).addMiddleware(new LoggingMiddleware()).registerHandlers(collector)
    events.registerFunctionHandler(subscription('events', 'audit'), (message) => collector.take(message))

    const manager = new MessageQueueManager({}, { logger })
    manager.addQueue('orders', orders)
    manager.addQueue('events', events)
    await manager.start()
    const id = await manager.sendToQueue('orders', { body: 1 })
    await events.publish('events', 2)
    await collector.until(2)
    expect([...collector.bodies].sort()).toEqual([1, 2])
    expect(await manager.healthCheck()).toMatchObject({ overallHealthy: true })

    expect(await manager.stop()).toEqual({ drained: true, abandoned: [] })
    expect(manager.getGlobalStats()).toMatchObject({
      isRunning: false,
      consumerCount: 0,
      totalMessagesSent: 2,
      totalMessagesReceived: 2,
      totalMessagesFailed: 0,
    })
    expect(metrics.getMetrics()).toMatchObject({ processedCount: 1, errorCount: 0 })
    expect(lines.filter(({ fields }) => fields['id'] === id).map(({ text }) => text)).toEqual(
      expect.arrayContaining(['message sent', 'message handled']),
    )
  })
})
