import { MetricsMiddleware, type MessageQueue, type QueueRef } from '@mq/core'
import fastify, { type FastifyInstance } from 'fastify'
import { metricsText } from './metrics.ts'

/**
 * `GET /health/messaging`: 200, or 503 with the reason in `error`. `GET /metrics`: for a scraper; `watched` are the queues whose
 * lengths it tells: typed ones as they are defined, since a first look at dead letters makes the queue. The caller listens and closes.
 */
export function monitoringServer(queue: MessageQueue, watched: readonly QueueRef[]): FastifyInstance {
  const metrics = new MetricsMiddleware()
  queue.addMiddleware(metrics)
  const server = fastify()
  server.get('/health/messaging', async (_request, reply) => {
    // Never throws, and answers within five seconds also when the broker does not.
    const health = await queue.healthCheck()
    return reply.code(health.healthy ? 200 : 503).send(health)
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4').send(await metricsText(queue, metrics, watched)),
  )
  return server
}
