import { realBrokers, startExample, startOwn } from '@mq/example-runner'
import { expect, it } from '@jest/globals'
import { addressOf, askUntil, expectedAt, main } from './endpoint.ts'

it.each(realBrokers)(
  'tells of an outage of %s and of its end',
  async (broker) => {
    const { server, env } = await startOwn(broker)
    const program = startExample(main, { ...env, PORT: '0' })
    try {
      const address = await addressOf(program)
      const url = `${address}/health/messaging`
      await askUntil(url, ({ status }) => status === 200)
      await server.kill()
      const { text } = await askUntil(url, ({ status }) => status === 503)
      const health = JSON.parse(text)
      expect(health).toMatchObject({ healthy: false, broker })
      expect(health.error).toMatch(/\w/)
      await server.start()
      await askUntil(url, ({ status }) => status === 200)
      const metrics = await askUntil(`${address}/metrics`, ({ text }) => text.includes('mq_connected 1\n'))
      expect(metrics.text).toContain('mq_sent_total 1\n')
      program.signal('SIGTERM')
      const { code, stdout } = await program.ended
      expect(stdout).toBe(expectedAt(address))
      expect(code).toBe(0)
    } finally {
      program.signal('SIGTERM')
      await program.ended
      await server.stop()
    }
  },
  240_000,
)
