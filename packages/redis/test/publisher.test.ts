import { describe, expect, it } from '@jest/globals'
import { live, outbound } from '@mq/conformance/fixtures'
import type { OutboundMessage, PublishOutcome } from '@mq/core/adapter'
import type { Connection } from '../src/connection.ts'
import { createKeys } from '../src/keys.ts'
import { createPublisher, type Publisher } from '../src/publisher.ts'

/** Over a connection whose calls are answered like this, in turn. `calls`: how many there were, `most`: how many at once. */
function publisherOver(answers: readonly (1 | Error)[]): {
  publisher: Publisher
  seen: { calls: number; most: number }
} {
  const seen = { calls: 0, most: 0 }
  let running = 0
  const connection: Pick<Connection, 'publisher' | 'publish'> = {
    publisher: null,
    async publish() {
      const answer = answers[seen.calls++] ?? 1
      seen.most = Math.max(seen.most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running--
      if (answer !== 1) throw answer
      return answer
    },
  }
  const nothing = (): void => undefined
  const setup = { keys: createKeys('mq'), delayed: nothing, blocked: nothing }
  return { publisher: createPublisher({ ...setup, connection: () => connection as Connection }), seen }
}

function batch(key?: string): OutboundMessage[] {
  return Array.from({ length: 500 }, () => outbound({ queue: 'q' }, { key }))
}

/** Outcomes of the chunks of 200, of which each has one. */
function perChunk(outcomes: readonly PublishOutcome[]): (string | true)[] {
  const words = outcomes.map((o) => (o.ok ? true : `${o.certainty}: ${(o.error as Error).message}`))
  expect(words).toHaveLength(500)
  return [0, 200, 400].map((at) => {
    const chunk = new Set(words.slice(at, at + 200))
    expect(chunk.size).toBe(1)
    return words[at] as string | true
  })
}

const BUSY = 'BUSY Redis is busy running a script.'

describe('a call that is cut into chunks', () => {
  it('stores nothing behind a chunk of keyed messages that was refused for now', async () => {
    const { publisher, seen } = publisherOver([1, new Error(BUSY), 1])
    const outcomes = await publisher.publish(batch('k'), live)
    expect(perChunk(outcomes)).toEqual([true, `not-stored: ${BUSY}`, `not-stored: ${BUSY}`])
    expect(seen).toEqual({ calls: 2, most: 1 })
  })

  it('stores nothing behind keyed messages whose outcome is unknown', async () => {
    const { publisher, seen } = publisherOver([new Error('cut')])
    const outcomes = await publisher.publish(batch('k'), live)
    expect(perChunk(outcomes)).toEqual(['unknown: cut', 'not-stored: cut', 'not-stored: cut'])
    expect(seen.calls).toBe(1)
  })

  it('goes on behind keyed messages that are refused for good', async () => {
    const { publisher } = publisherOver([new Error('NOPERM no')])
    expect(perChunk(await publisher.publish(batch('k'), live))).toEqual(['not-stored: NOPERM no', true, true])
  })

  it('sends messages without a key side by side', async () => {
    const { publisher, seen } = publisherOver([new Error(BUSY)])
    expect(perChunk(await publisher.publish(batch(), live))).toEqual([`not-stored: ${BUSY}`, true, true])
    expect(seen).toEqual({ calls: 3, most: 3 })
  })
})
