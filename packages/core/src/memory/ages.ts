import { isWaiting, type Entry } from './entry.ts'
import { Heap } from './heap.ts'

/** An entry at the place that it had when it came in: it may have another one by now. */
interface Aged {
  readonly seq: number
  readonly entry: Entry
}

/** By age what an ordered queue would drop: its ready list lacks those that wait behind their key. */
export class Ages {
  readonly #heap = new Heap<Aged>((a, b) => a.seq < b.seq, isStale)

  push(entry: Entry): void {
    this.#heap.push({ seq: entry.seq, entry })
  }

  /** Takes out the oldest that still waits. */
  shift(): Entry | undefined {
    let aged = this.#heap.pop()
    while (aged !== undefined && isStale(aged)) aged = this.#heap.pop()
    return aged?.entry
  }

  /** One of them went out otherwise. */
  forget(): void {
    this.#heap.forget()
  }

  clear(): void {
    this.#heap.clear()
  }
}

function isStale({ seq, entry }: Aged): boolean {
  return entry.seq !== seq || !isWaiting(entry)
}
