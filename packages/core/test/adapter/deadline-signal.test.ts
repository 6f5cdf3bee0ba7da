import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { deadlineSignal } from '../../src/adapter/deadline-signal.ts'

const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason), { once: true }))

describe('deadlineSignal', () => {
  it('aborts with the other signal, and with its reason', async () => {
    const controller = new AbortController()
    const signal = deadlineSignal(controller.signal, 60_000)
    const reason = aborted(signal)
    controller.abort('enough')
    expect(await reason).toBe('enough')
    expect(deadlineSignal(AbortSignal.abort('before'), 60_000).reason).toBe('before')
  })

  it('aborts in time, although garbage is collected meanwhile', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const never = new AbortController().signal
    const all = Array.from({ length: 50 }, () => aborted(deadlineSignal(never, 100)))
    for (let n = 0; n < 3; n++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      collect()
    }
    for (const reason of await Promise.all(all)) expect(reason).toMatchObject({ name: 'TimeoutError' })
  })
})
