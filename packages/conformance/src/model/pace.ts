/** How long this broker takes for what does happen, from all runs so far: by that a run knows what will not. */
export class Pace {
  readonly patienceMs: number
  #slowestMs = 0

  constructor(patienceMs: number) {
    this.patienceMs = patienceMs
  }

  happened(afterMs: number): void {
    this.#slowestMs = Math.max(this.#slowestMs, afterMs)
  }

  /** Longest sensible wait of a run that would rather be short than sure. */
  get hastyMs(): number {
    return Math.min(this.patienceMs, Math.max(this.patienceMs / 30, 3 * this.#slowestMs))
  }
}
