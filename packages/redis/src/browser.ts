import { type Buffer } from 'node:buffer'
import { AdapterError, type Receiver, type SettleOutcome, type Source } from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import { notFound } from './errors.ts'
import type { Reply } from './link.ts'
import { scripts } from './scripts/index.ts'
import { decode, type Held } from './wire.ts'

/** A lane, and the id of an entry of its stream; or a place behind a key. */
const CURSOR = /^(\d+:\d+-\d+|k:\d+:.*)$/s

/** In place of a lane: the message waits behind its key. */
const BEHIND = 'k'

/** Looks at what waits without leasing it; `ack` removes what nobody has taken meanwhile. */
export function createBrowser(connection: Connection, base: string, source: Source): Receiver {
  if (source.after !== undefined && !CURSOR.test(source.after)) {
    const text = `${JSON.stringify(source.after)} is no cursor that list answered`
    throw new AdapterError('MQ_VALIDATION', text)
  }
  let position = source.after ?? ''
  let closed = false
  const never = (): Promise<never> => Promise.reject(new Error('a browsed message can only be acknowledged'))
  return {
    async receive(max, signal) {
      let entries: readonly (readonly [Buffer, Buffer, readonly Reply[], number])[] = []
      let stopped: string
      do {
        if (closed || signal.aborted) return []
        const split = position.indexOf(':')
        const [lane, id] = [position.slice(0, Math.max(0, split)), position.slice(split + 1)]
        const reply = await connection.run(scripts.browse, base, [lane, id, String(max)])
        if (reply === null) throw notFound(source.target)
        entries = (reply as readonly [typeof entries, Buffer])[0]
        stopped = String((reply as readonly Buffer[])[1])
        if (stopped !== '') position = stopped
      } while (stopped !== '' && entries.length === 0)
      const deliveries = entries.map((e) => {
        const held = decode(String(e[0]), e[1], e[2], 1, 0, e, true)
        return held.lane === BEHIND ? { ...held, position: `${held.position}:${held.key ?? ''}` } : held
      })
      if (stopped === '') position = deliveries.at(-1)?.position ?? position
      return deliveries
    },
    async ack(deliveries) {
      const args = ['take', '', '']
      for (const d of deliveries as readonly Held[]) {
        const which = d.lane === BEHIND ? ['1', d.id] : ['0']
        args.push(d.lane, d.entryId, '0', d.key ?? '', ...which)
      }
      try {
        const [, ...statuses] = (await connection.run(scripts.settle, base, args)) as number[]
        return statuses.map((status): SettleOutcome => (status === 1 ? 'settled' : 'lost'))
      } catch (error) {
        return deliveries.map(() => ({ error }))
      }
    },
    release: never,
    retry: never,
    deadLetter: never,
    renew: async (deliveries) => deliveries.map(() => 'settled'),
    async close() {
      closed = true
    },
  }
}
