import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from '@jest/globals'
import { MessageQueueManager } from '../../src/manage/manager.ts'
import { fakeQueue } from '../fake-queue.ts'
import { recordingLogger } from '../middleware/recording-logger.ts'

const sources = new URL('../../src/', import.meta.url).href
const root = fileURLToPath(new URL('../../../../', import.meta.url))
const stopped: (() => void)[] = []

afterEach(() => {
  for (const stop of stopped.splice(0)) stop()
})

/** A program with a managed queue whose handlers take until `release` is written to its input. */
function program() {
  const script = `
    const { MessageQueueManager } = await import('${sources}manage/manager.ts')
    let release
    const released = new Promise((resolve) => { release = resolve })
    const alive = setInterval(() => undefined, 1000)
    process.stdin.on('data', () => release())
    const manager = new MessageQueueManager({ healthCheckInterval: 1 })
    manager.addQueue('orders', {
      connect: async () => undefined,
      disconnect: async () => {
        process.stdout.write('draining\\n')
        await released
        clearInterval(alive)
        process.stdin.destroy()
        process.stdout.write('drained\\n')
        return { drained: true, abandoned: [] }
      },
      healthCheck: async () => ({ healthy: true }),
      getStats: () => ({ isConnected: false, registeredHandlers: [], activeQueues: [] }),
    })
    await manager.start()
    manager.stopOnSignals()
    process.stdout.write('ready\\n')`
  const child = spawn(
    process.execPath,
    ['--conditions=@mq/source', '--import', 'tsx', '--input-type=module', '--eval', script],
    { cwd: root, env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['pipe', 'pipe', 'inherit'] },
  )
  stopped.push(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  )
  const says = (line: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output.split('\n').includes(line)) resolve()
      }
      child.stdout.on('data', look)
      child.once('close', () => reject(new Error(`ended without saying ${line}: ${output}`)))
      look()
    })
  return { child, exited, says, release: () => child.stdin.write('release') }
}

describe('stopOnSignals', () => {
  it('drains on a signal, after which the process ends by itself', async () => {
    const { child, exited, says, release } = program()
    await says('ready')
    child.kill('SIGTERM')
    await says('draining')
    release()
    await says('drained')
    expect(await exited).toEqual({ code: 0, signal: null })
  })

  it('ends at once on a second signal, with the status of that one', async () => {
    const { child, exited, says } = program()
    await says('ready')
    child.kill('SIGTERM')
    await says('draining')
    child.kill('SIGINT')
    expect(await exited).toEqual({ code: 130, signal: null })
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'on %s hands its timeout on, until it is taken away',
    async (signal) => {
      const before = process.listeners(signal)
      const orders = fakeQueue()
      const manager = new MessageQueueManager(
        { healthCheckInterval: 0 },
        { logger: recordingLogger().logger },
      )
      manager.addQueue('orders', orders.queue)
      await manager.start()
      const uninstall = manager.stopOnSignals({ timeoutMs: 5 })
      stopped.push(uninstall)
      expect(manager.stopOnSignals()).toBe(uninstall)
      const [added] = process.listeners(signal).filter((listener) => !before.includes(listener))
      ;(added as (signal: string) => void)(signal)
      await manager.stop()
      expect(orders.calls).toEqual(['connect', 'disconnect {"timeoutMs":5}'])
      uninstall()
      expect(process.listeners(signal)).toEqual(before)
    },
  )
})
