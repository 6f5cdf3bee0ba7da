import { randomUUID } from 'node:crypto'
import { MessageQueue } from '@mq/core'
import { kafkaAdapter } from '@mq/kafka'
import { testOptions } from './harness.ts'

/** A name of its own for each test. */
export function fresh(what = 'q'): string {
  return `${what}-${randomUUID().slice(0, 8)}`
}

/** Asks until the answer is true; fails after the deadline. */
export async function until(check: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`the condition did not come true: ${String(check)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Resolves when that much of the clock has passed: the pace of what a test does to its broker. */
export async function reached(at: number): Promise<void> {
  await until(() => performance.now() >= at)
}

/** Connected queues, which `closeAll` ends whatever they do. */
export function connections(url: () => string): {
  connect: () => Promise<MessageQueue>
  closeAll: () => Promise<unknown>
} {
  const open: MessageQueue[] = []
  return {
    async connect() {
      const queue = new MessageQueue(kafkaAdapter(testOptions(url())))
      queue.on('error', () => undefined)
      open.push(queue)
      await queue.connect()
      return queue
    },
    closeAll: () => Promise.all(open.splice(0).map((queue) => queue.disconnect({ timeoutMs: 1 }))),
  }
}
