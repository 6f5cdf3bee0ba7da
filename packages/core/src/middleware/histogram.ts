/** Buckets of an octave, equally wide: each ends at most 1/32 above its beginning, and a percentile is at most that far off. */
const PER_OCTAVE = 32
/** Bits of a float (IEEE 754, 32 bits) below its exponent and the 5 that tell the buckets of an octave apart. */
const BELOW = 23 - Math.log2(PER_OCTAVE)

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** A float's exponent and the upper bits of its fraction, as one number: it grows with the float, by one from bucket to bucket. */
function place(seconds: number): number {
  float[0] = seconds
  return (bits[0] as number) >>> BELOW
}

/** 2^-20 s, about 1 µs: everything below is in the first bucket. */
const FIRST = place(2 ** -20)
/** The last bucket ends nowhere; it begins at some four and a half hours. */
const BUCKETS = place(2 ** 14) - FIRST + 1
/** Where each bucket ends, in seconds. */
const UP_TO = Float64Array.from({ length: BUCKETS }, (_, index) => {
  if (index === BUCKETS - 1) return Infinity
  bits[0] = (FIRST + index + 1) << BELOW
  return float[0] as number
})

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
    const index = seconds > 0 ? Math.min(Math.max(place(seconds) - FIRST, 0), BUCKETS - 1) : 0
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
