/** Each bucket ends 5 % above the one before, so a percentile is at most that far off. */
const GROWTH = Math.log(1.05)
/** 1 µs, in seconds: everything below is in the first bucket. */
const SMALLEST = 1e-6
/** The last bucket begins at about three hours. */
const BUCKETS = 475

/** Durations in seconds, counted in buckets of fixed number: its size does not depend on how many there were. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sum = 0
  #min = Infinity
  #max = 0

  get count(): number {
    return this.#count
  }

  /** Seconds. */
  get sum(): number {
    return this.#sum
  }

  record(seconds: number): void {
    const bucket = seconds <= SMALLEST ? 0 : Math.ceil(Math.log(seconds / SMALLEST) / GROWTH)
    const index = Math.min(bucket, BUCKETS - 1)
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#count++
    this.#sum += seconds
    this.#min = Math.min(this.#min, seconds)
    this.#max = Math.max(this.#max, seconds)
  }

  /** The duration that a share (0-1) of all stayed at or below, in seconds; 0 when there were none. */
  percentile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] as number
      if (seen < rank) continue
      const upper = index === BUCKETS - 1 ? this.#max : SMALLEST * Math.exp(index * GROWTH)
      return Math.min(Math.max(upper, this.#min), this.#max)
    }
    return 0
  }

  reset(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#sum = 0
    this.#min = Infinity
    this.#max = 0
  }
}
