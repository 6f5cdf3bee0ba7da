import type { DeadLetterInfo, Delivery } from '../adapter/index.ts'
import type { Entry } from './entry.ts'

/** What a receiver hands out, with the two fields that settle it. */
export class MemoryDelivery implements Delivery {
  readonly entry: Entry
  readonly generation: number
  readonly id: string
  readonly body: Uint8Array
  readonly headers: Record<string, string>
  readonly timestamp: number
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  readonly routingKey: string | undefined
  readonly key: string | undefined
  readonly deduplicationId: string | undefined
  readonly priority: number
  readonly expiresAt: number | undefined
  readonly deliveryCount: number
  readonly redeliveries: number
  readonly firstFailedAt: number | undefined
  readonly redriven: boolean
  readonly deadLetter: DeadLetterInfo | undefined
  readonly position: string | undefined
  readonly raw: unknown

  constructor(entry: Entry, position: string | undefined) {
    const { rare } = entry
    this.entry = entry
    this.generation = entry.generation
    this.id = entry.id
    this.body = entry.body
    this.headers = { ...entry.headers }
    this.timestamp = entry.timestamp
    this.contentType = entry.contentType
    this.contentEncoding = rare?.contentEncoding
    this.correlationId = rare?.correlationId
    this.replyTo = rare?.replyTo
    this.routingKey = rare?.routingKey
    this.key = rare?.key
    this.deduplicationId = rare?.deduplicationId
    this.priority = rare === null ? 0 : rare.priority
    this.expiresAt = entry.expiresAt
    this.deliveryCount = entry.deliveryCount
    this.redeliveries = entry.redeliveries
    this.firstFailedAt = entry.firstFailedAt
    this.redriven = rare !== null && rare.redriven && entry.deadLetter === undefined
    this.deadLetter = entry.deadLetter
    this.position = position
    this.raw = entry
  }
}
