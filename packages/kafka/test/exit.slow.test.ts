import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { fresh, until } from './support.ts'

let broker: RunningBroker
beforeAll(async () => {
  broker = await startBroker('kafka', { fresh: true })
}, 180_000)
afterAll(() => broker.stop(), 60_000)

const program = fileURLToPath(new URL('programs/consumes-until-told.ts', import.meta.url))

/** Lets a process work, hurts the broker, and tells the process to disconnect. A socket, timer or thread left over would keep it alive. */
async function endsAfter(hurt: () => Promise<void> | void, heal: () => Promise<void> | void): Promise<void> {
  const child = spawn(process.execPath, ['--conditions=@mq/source', '--import', 'tsx', program, fresh()], {
    stdio: 'pipe',
    env: { ...process.env, NODE_OPTIONS: '', MQ_TEST_KAFKA: broker.url, MQ_LOG_LEVEL: 'silent' },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const ended = once(child, 'close')
  try {
    await until(() => output.includes('handled'))
    await hurt()
    child.stdin.end()
    await until(() => output.includes('disconnected'), 30_000)
    await until(() => child.exitCode !== null, 20_000)
    expect(output).not.toMatch(/Error|Warning/)
    expect(child.exitCode).toBe(0)
  } finally {
    child.kill('SIGKILL')
    await ended
    await heal()
  }
}

describe('a process that disconnects ends by itself', () => {
  const nothing = (): void => undefined

  it('when nothing went wrong', () => endsAfter(nothing, nothing), 120_000)

  it(
    'when the broker was killed',
    () =>
      endsAfter(
        () => broker.kill(),
        () => broker.start(),
      ),
    120_000,
  )

  it(
    'when the broker is frozen',
    () =>
      endsAfter(
        () => broker.freeze(),
        () => broker.thaw(),
      ),
    120_000,
  )

  it('when the broker was killed and is back', () => endsAfter(() => broker.restart(), nothing), 120_000)
})
