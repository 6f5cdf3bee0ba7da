import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readingId } from '../src/readings.ts'
import { BROKERS } from './brokers.ts'
import { announcedIds, printedSummary, runExample, startedPort, type Ended } from './run-example.ts'
import { anomaliesOf, rowsOfFile } from './truth.ts'

const rows = rowsOfFile()
const ids = new Set(rows.map(({ id }) => id))
const printed = new Map<string, string>()

describe.each(BROKERS)('the pipeline on %s', (broker) => {
  let ended: Ended

  beforeAll(async () => {
    ended = await runExample({ MESSAGE_BROKER: broker })
  }, 240_000)

  it('ends well, and says nothing on stderr', () => {
    expect(ended.stderr).toBe('')
    expect(ended.code).toBe(0)
  })

  it('handles or dead-letters every row of the file', () => {
    const { summary } = ended
    expect(summary?.readings).toBe(rows.length)
    expect((summary?.handled ?? 0) + (summary?.deadLettered ?? 0)).toBe(rows.length)
  })

  it('dead-letters exactly the rows that it announced as corrupted', () => {
    const announced = announcedIds(ended)
    expect(announced.length).toBeGreaterThan(10)
    expect(announced.every((id) => ids.has(id))).toBe(true)
    const dead = ended.summary?.deadLetters.map(({ id }) => id)
    expect([...(dead ?? [])].sort()).toEqual(announced.sort())
    const reasons = new Set(ended.summary?.deadLetters.map(({ reason }) => reason))
    expect([...reasons].sort()).toEqual(['invalid', 'rejected', 'undecodable'])
  })

  it('finds the anomalies that the reference finds', () => {
    const expected = anomaliesOf(rows, new Set(announcedIds(ended)))
    expect(expected.length).toBeGreaterThan(10)
    expect(ended.summary?.anomalies.map(readingId)).toEqual(expected)
  })

  it('retried readings, and all of them succeeded', () => {
    expect(ended.summary?.recovered).toBeGreaterThan(10)
    expect(ended.summary?.retries).toBeGreaterThanOrEqual(ended.summary?.recovered ?? 0)
  })

  it('shows progress up to the end', () => {
    expect(ended.stdout).toContain(`readings 100% (${rows.length}/${rows.length})`)
  })

  it('draws every anomaly', () => {
    const dots = ended.chart?.match(/<circle [^>]*><title>/g) ?? []
    expect(dots).toHaveLength(ended.summary?.anomalies.length ?? -1)
  })

  it('stops the server that it started', async () => {
    const port = startedPort(ended.stdout)
    if (port !== null) expect(await answers(port)).toBe(false)
    expect(ended.stdout).toContain(`Broker ${broker}, `)
  })

  afterAll(() => {
    printed.set(broker, printedSummary(ended))
  })
})

describe('the summary', () => {
  it('is the same on every broker', () => {
    expect([...printed.keys()]).toEqual([...BROKERS])
    expect(printed.get('memory')).toContain(`readings       ${rows.length} = `)
    expect(new Set(printed.values()).size).toBe(1)
  })
})

describe('the environment', () => {
  it('decides how many readings are handled at once', async () => {
    const [one, many] = [
      await runExample({ WORKER_POOL_SIZE: '1' }),
      await runExample({ WORKER_POOL_SIZE: '6', MAX_CONCURRENT_MESSAGES: '3' }),
    ]
    expect(one.stdout).toContain('1 readings at once, of 1 workers')
    expect(one.stdout).toMatch(/detection +\d+ windows, on 1 of 1 worker threads/)
    expect(many.stdout).toContain('3 readings at once, of 6 workers')
    expect(many.stdout).toMatch(/detection +\d+ windows, on [23] of 6 worker threads/)
    expect(printedSummary(many)).toBe(printedSummary(one))
  }, 240_000)

  it('is refused in words when it is wrong', async () => {
    const { code, stderr } = await runExample({ MESSAGE_BROKER: 'carrier-pigeon', WORKER_POOL_SIZE: 'many' })
    expect(code).toBe(1)
    expect(stderr).toContain('MESSAGE_BROKER')
    expect(stderr).toContain('WORKER_POOL_SIZE')
    expect(stderr).not.toContain('    at ')
  }, 60_000)

  it('is refused without a worker', async () => {
    const { code, stderr } = await runExample({ WORKER_POOL_SIZE: '0' })
    expect(code).toBe(1)
    expect(stderr).toContain('WORKER_POOL_SIZE')
  }, 60_000)
})

describe('an interrupted run', () => {
  /** Interrupts it as soon as it is at work. */
  function interrupt(): Promise<Ended> {
    let interrupted = false
    return runExample({ MESSAGE_BROKER: 'redis' }, (stdout, child) => {
      if (interrupted || !stdout.includes('readings 10%')) return
      interrupted = true
      child.kill('SIGINT')
    })
  }

  it('stops its server and says why', async () => {
    let ended = await interrupt()
    // It may be done before the signal comes, where this process is the slower one.
    for (let tries = 1; tries < 5 && ended.code === 0; tries++) ended = await interrupt()
    expect(ended.code).toBe(130)
    expect(ended.stderr).toContain('stopped by SIGINT')
    const port = startedPort(ended.stdout)
    if (port !== null) expect(await answers(port)).toBe(false)
    expect(ended.summary).toBeNull()
  }, 240_000)
})

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
  })
}
