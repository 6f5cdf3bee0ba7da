/** What a contender does with its queues. Numbers stand for messages: each body carries one. */
export interface Session {
  publish(i: number): Promise<unknown>
  /** `count` numbers from `from` on, in one call where there is one. */
  publishBatch(from: number, count: number): Promise<unknown>
  /** Handles until closed: `arrived` is the handler; each message is acknowledged after it. */
  consume(arrived: (i: number) => void, options: { concurrency: number; prefetch: number }): Promise<void>
  close(): Promise<void>
}

/** How many queues the messages are spread over, and how many consumers each has. */
export interface Shape {
  readonly queues: number
  readonly consumers: number
}

export interface Side {
  readonly name: string
  /** Shown, not raced: what it promises less than the others. */
  readonly weaker?: string
  /** Workloads that this side cannot do. */
  readonly lacks?: readonly string[]
  /** Whether `open` heeds how many queues a shape asks for; otherwise there is one. Several consumers of a queue only this library is asked for. */
  readonly shapes?: boolean
  readonly open: (bytes: number, shape?: Shape) => Promise<Session>
}
