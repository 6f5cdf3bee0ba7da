import type { QueueSettings } from '../adapter/index.ts'

/** How much a queue may hold that is ready. */
export class Limits {
  readonly maxLength: number
  readonly maxBytes: number
  /** Whether the oldest go when it is full, instead of the new ones being refused. */
  readonly drops: boolean

  private constructor(settings: QueueSettings) {
    this.maxLength = settings.maxLength ?? Infinity
    this.maxBytes = settings.maxLengthBytes ?? Infinity
    this.drops = settings.overflow === 'drop-oldest'
  }

  /** `null`: it may hold anything. */
  static of(settings: QueueSettings): Limits | null {
    return settings.maxLength === null && settings.maxLengthBytes === null ? null : new Limits(settings)
  }

  /** Whether one more message fits. */
  fit(count: number, bytes: number, more: number): boolean {
    return count + 1 <= this.maxLength && bytes + more <= this.maxBytes
  }
}
