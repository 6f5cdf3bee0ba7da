/** Each bucket ends 5 % above the one before, so a percentile is at most that far off. */
const GROWTH = Math.log(1.05)
/** 1 µs, in seconds: everything below is in the first bucket. */
const SMALLEST = 1e-6
/** The last bucket begins at about three hours. */
const BUCKETS = 475
/** Longest duration of each bucket, in seconds. */
const UP_TO = Float64Array.from({ length: BUCKETS }, (_, index) =>
  index === BUCKETS - 1 ? Infinity : SMALLEST * Math.exp(index * GROWTH),
)

/** Durations in seconds, counted in buckets of fixed number: its size does not depend on how many there were. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sum = 0
  #min = Infinity
  #max = 0
  /** Where the one before was counted. */
  #last = 0

  get count(): number {
    return this.#count
  }

  /** Seconds. */
  get sum(): number {
    return this.#sum
  }

  record(seconds: number): void {
    const index = this.#indexOf(seconds)
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#count++
    this.#sum += seconds
    this.#min = Math.min(this.#min, seconds)
    this.#max = Math.max(this.#max, seconds)
  }

  /** Runs that follow each other take about as long: only one that left the bucket of the one before is worth a logarithm. */
  #indexOf(seconds: number): number {
    const last = this.#last
    if (last > 0 && seconds > (UP_TO[last - 1] as number) && seconds <= (UP_TO[last] as number)) return last
    const bucket = seconds <= SMALLEST ? 0 : Math.ceil(Math.log(seconds / SMALLEST) / GROWTH)
    this.#last = Math.min(bucket, BUCKETS - 1)
    return this.#last
  }

  /** The duration that a share (0-1) of all stayed at or below, in seconds; 0 when there were none. */
  percentile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] as number
      if (seen < rank) continue
      return Math.min(Math.max(UP_TO[index] as number, this.#min), this.#max)
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
