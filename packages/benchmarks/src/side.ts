/** What a contender does with one queue of its own. Numbers stand for messages: each body carries one. */
export interface Session {
  publish(i: number): Promise<unknown>
  /** `count` numbers from `from` on, in one call where there is one. */
  publishBatch(from: number, count: number): Promise<unknown>
  /** Handles until closed: `arrived` is the handler; each message is acknowledged after it. */
  consume(arrived: (i: number) => void, options: { concurrency: number; prefetch: number }): Promise<void>
  close(): Promise<void>
}

export interface Side {
  readonly name: string
  /** Shown, not raced: what it promises less than the others. */
  readonly weaker?: string
  /** Workloads that this side cannot do. */
  readonly lacks?: readonly string[]
  readonly open: (bytes: number) => Promise<Session>
}
