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

  it('is cut at the same places again, whatever of it is not repeated', async () => {
    const cut = new Error('cut')
    const { publisher, seen } = publisherOver([cut, cut, 1, cut])
    const wide = Object.fromEntries(Array.from({ length: 2_501 }, (_, i) => [`h${i}`, '']))
    const all = Array.from({ length: 250 }, (_, i) =>
      outbound({ queue: 'q' }, i === 10 ? { headers: wide } : {}),
    )
    const first = await publisher.publish(all, live)
    const unknown = all.filter((_, i) => first[i]?.ok === false && first[i].certainty === 'unknown')
    expect(unknown).toHaveLength(249)
    const again = await publisher.publish(unknown, live)
    // The server knows the first call by what it was: one message more would be taken for stored with it.
    expect(again.map(({ ok }) => ok)).toEqual(unknown.map((_, i) => i < 199))
    expect(seen.calls).toBe(4)
  })

  it('is not sent as one when what lay between its parts was stored', async () => {
    const cut = new Error('cut')
    const { publisher, seen } = publisherOver([cut, 1, cut, 1, cut])
    const sized = (kib: number) => outbound({ queue: 'q' }, { body: Buffer.alloc(kib * 1024) })
    const all = [sized(100), sized(1_000), sized(100)]
    expect((await publisher.publish(all, live)).map(({ ok }) => ok)).toEqual([false, true, false])
    const again = await publisher.publish([all[0], all[2]] as OutboundMessage[], live)
    expect(again.map(({ ok }) => ok)).toEqual([true, false])
    expect(seen.calls).toBe(5)
  })
})
