import { describe, expect, it } from '@jest/globals'
import { ErrorCode } from '../src/error-codes.ts'
import { queueBench, refusal } from './engine-bench.ts'
import { fakeAdapter } from './fake-adapter.ts'

function bench() {
  const adapter = fakeAdapter()
  const [first, second] = [queueBench({}, adapter).queue, queueBench({}, adapter).queue]
  return { adapter, first, second }
}

describe('an adapter of two queues', () => {
  it('is refused to the second, and left alone by it, until the first is done', async () => {
    const { adapter, first, second } = bench()
    await first.connect()
    const error = await refusal(second.connect())
    expect(error).toMatchObject({ code: ErrorCode.CONFIGURATION })
    expect(error.message).toContain('make one for each queue')
    await second.disconnect()
    expect(adapter.connections).toHaveLength(1)
    expect(adapter.disconnects).toBe(0)

    await first.disconnect()
    await second.connect()
    expect(adapter.connections).toHaveLength(2)
    await second.disconnect()
  })

  it('may be had by the second where the first could not connect', async () => {
    const { adapter, first, second } = bench()
    adapter.onConnect = () => Promise.reject(new Error('refused'))
    await refusal(first.connect())
    adapter.onConnect = () => Promise.resolve()
    await second.connect()
    expect(second.isConnected).toBe(true)
    await second.disconnect()
  })
})
