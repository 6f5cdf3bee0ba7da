/** JSON of about `bytes` bytes, with a number to check by. */
export function body(i: number, bytes: number): { i: number; text: string; tags: string[] } {
  return { i, text: 'x'.repeat(Math.max(0, bytes - 60)), tags: ['alpha', 'beta', 'gamma'] }
}

/** Checks that each number from 0 to `count` arrives exactly once. */
export class Ledger {
  readonly #seen: Uint8Array
  #left: number
  readonly done: Promise<void>
  #finish: () => void = () => undefined

  constructor(count: number) {
    this.#seen = new Uint8Array(count)
    this.#left = count
    this.done = new Promise((resolve) => (this.#finish = resolve))
  }

  arrived(i: number): void {
    if (this.#seen[i] !== 0) throw new Error(`message ${i} arrived twice, or was never sent`)
    this.#seen[i] = 1
    if (--this.#left === 0) this.#finish()
  }
}
