import assert from 'node:assert/strict'
import { MessageQueue } from '@mq/core'
import { spawnChild, type Child } from './child-process.ts'
import type { Scenario } from './child.ts'
import { fresh } from './fixtures.ts'
import { realClock, sleep } from './schedule.ts'
import type { Harness, Runner } from './types.ts'

/** Long enough for every wait between two attempts to reconnect, the longest of them several times. */
const OUTAGE_MS = 15_000

/** More than two heartbeats, of one second, of an adapter that has them. */
const STOPPED_MS = 4_000

/** A server that these tests have for themselves. */
export interface OutageHarness extends Pick<Harness, 'createAdapter'> {
  readonly process: NonNullable<Harness['process']>
  readonly server: {
    /** Without warning; resolves when it is gone. */
    kill(): Promise<void>
    /** On the same address with the same data; resolves when it answers. */
    start(): Promise<void>
    /** It accepts and answers nothing, and refuses nothing. */
    freeze(): void
    thaw(): void
  }
  /** Longest wait for what must happen, in ms. Default 60,000. */
  readonly patienceMs?: number
}

/**
 * Declares what only a process of its own and a server that goes away can show: that the process ends by itself once it has
 * disconnected, and not before. Beside `conformance`, for a server that can be killed and frozen.
 */
export function processOutages(runner: Pick<Runner, 'describe' | 'it'>, harness: OutageHarness): void {
  const { server, patienceMs = 60_000 } = harness
  const limitMs = OUTAGE_MS + 5 * patienceMs

  async function withChild(scenario: Scenario, test: (child: Child, queue: string) => Promise<void>) {
    const name = fresh('outage')
    // What it prints is searched for warnings: of Node, not of the logger.
    const env = { NODE_OPTIONS: '', MQ_LOG_LEVEL: 'silent', ...harness.process.env }
    const settings = { ...harness.process, env }
    const child = spawnChild(settings, scenario, name, 10_000, patienceMs)
    try {
      await child.line('handled hello')
      await test(child, name)
    } finally {
      child.kill('SIGKILL')
      await child.ended()
    }
  }

  /** A socket, timer or thread left over would keep it alive. */
  async function endsWhenTold(child: Child): Promise<void> {
    child.kill('SIGTERM')
    await child.line('disconnected')
    const { code, signal, output } = await child.ended(20_000)
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, output)
    assert.doesNotMatch(output, /Error|Warning/)
  }

  runner.describe('a process that disconnects ends by itself', () => {
    const nothing = () => undefined
    const cases: readonly [string, () => Promise<void> | void, () => Promise<void> | void][] = [
      ['when nothing went wrong', nothing, nothing],
      ['when the server was killed', () => server.kill(), () => server.start()],
      ['when the server is frozen', () => server.freeze(), () => server.thaw()],
      ['when the server was killed and is back', () => server.kill().then(() => server.start()), nothing],
    ]
    for (const [title, hurt, heal] of cases)
      runner.it(
        title,
        async () => {
          try {
            await withChild('busy', async (child) => {
              await hurt()
              await endsWhenTold(child)
            })
          } finally {
            await heal()
          }
        },
        limitMs,
      )
  })

  runner.describe('a process that only consumes', () => {
    runner.it(
      'outlives the absence of its server, and consumes again',
      async () => {
        const other = new MessageQueue(harness.createAdapter())
        other.on('error', () => undefined)
        try {
          await withChild('idle', async (child, name) => {
            await other.connect()
            await server.kill()
            try {
              await Promise.race([sleep(realClock, OUTAGE_MS), child.ended(limitMs)])
              assert.ok(child.alive(), 'the process ended while its server was away')
            } finally {
              await server.start()
            }
            await other.connect()
            await other.send(name, 'again')
            await child.line('handled again')
            await endsWhenTold(child)
          })
        } finally {
          await other.disconnect({ timeoutMs: 1 })
        }
      },
      limitMs,
    )

    runner.it(
      'goes on after it was stopped for so long that its server gave it up',
      async () => {
        const other = new MessageQueue(harness.createAdapter())
        try {
          await withChild('idle', async (child, name) => {
            await other.connect()
            child.kill('SIGSTOP')
            await sleep(realClock, STOPPED_MS)
            await other.send(name, 'meanwhile')
            child.kill('SIGCONT')
            await child.line('handled meanwhile')
            await other.send(name, 'again')
            await child.line('handled again')
            await endsWhenTold(child)
          })
        } finally {
          await other.disconnect({ timeoutMs: 1 })
        }
      },
      limitMs,
    )
  })
}
