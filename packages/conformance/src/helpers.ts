import assert from 'node:assert/strict'
import { MessageQueueError, type Message, type MessageQueue } from '@mq/core'
import type { Delivery, Receiver } from '@mq/core/adapter'
import type { TestContext } from './context.ts'

export type QueueArg = Parameters<MessageQueue['receive']>[0]
export type ConsumeOptions = NonNullable<Parameters<MessageQueue['consume']>[2]>
export type Running = Awaited<ReturnType<MessageQueue['consume']>>

/** How far the clock by which a broker notes a time may be from the one of the tests. */
export const CLOCKS_APART_MS = 1000

/** The guarantee of what is delayed is a second on an idle broker; the rest is for the machine that runs the tests. */
export const MOST_LATE_MS = 1500

/** For work that is awaited later: should the test fail before, its rejection is nobody's surprise. */
export function later<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  return work
}

/** The error that a promise rejects with, which must be one of this library with that code. */
export function rejects(
  work: Promise<unknown>,
  code: string,
): Promise<MessageQueueError & Record<string, unknown>> {
  return later(rejection(work, code))
}

async function rejection(work: Promise<unknown>, code: string) {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  assert.ok('error' in outcome, `resolved, but must reject with ${code}`)
  const { error } = outcome
  assert.ok(
    MessageQueueError.is(error),
    `rejected with something else than an error of this library: ${String(error)}`,
  )
  assert.equal(error.code, code, error.message)
  return error as MessageQueueError & Record<string, unknown>
}

/** Makes a queue with a connection whose time-outs are short, again until it is made: they are meant for something else. */
export async function make(t: TestContext, queue: MessageQueue, name: string): Promise<void> {
  const made = () =>
    queue.createQueue({ name }).then(
      () => true,
      () => false,
    )
  await t.until(made, 'the queue made')
}

/** The next message, which must come. */
export async function take(
  t: TestContext,
  queue: MessageQueue,
  from: QueueArg,
  leaseMs?: number,
): Promise<Message> {
  const message = await queue.receive(from, {
    timeoutMs: t.patienceMs,
    ...(leaseMs === undefined ? {} : { leaseMs }),
  })
  assert.ok(message !== null, `no message came within ${t.patienceMs} ms`)
  return message
}

/** Nothing is ready now. */
export async function nothing(queue: MessageQueue, from: QueueArg): Promise<void> {
  const message = await queue.receive(from)
  assert.equal(message?.id ?? null, null, 'a message came although none may be ready')
}

/** Takes and acknowledges until nothing is ready. */
export async function drain(queue: MessageQueue, from: QueueArg): Promise<Message[]> {
  const all: Message[] = []
  for (;;) {
    const message = await queue.receive(from)
    if (message === null) return all
    all.push(message)
    await queue.acknowledge(message)
  }
}

/** Messages that a consumer handled, in order. */
export interface Inbox {
  readonly messages: Message[]
  readonly consumer: Running
  ids(): string[]
  bodies(): unknown[]
  /** Waits for that many. */
  count(n: number): Promise<void>
}

/** Consumes into a list. */
export async function collect(
  t: TestContext,
  queue: MessageQueue,
  from: QueueArg,
  options: ConsumeOptions = {},
  then: (message: Message) => unknown = () => undefined,
): Promise<Inbox> {
  const messages: Message[] = []
  const consumer = await queue.consume(
    from,
    async (message: Message) => {
      messages.push(message)
      return then(message)
    },
    options,
  )
  return inboxOf(t, messages, consumer)
}

/** The same for a subscription. */
export async function subscribe(
  t: TestContext,
  queue: MessageQueue,
  topic: string,
  name: string,
  options: Parameters<MessageQueue['subscribe']>[3] = {},
  then: (message: Message) => unknown = () => undefined,
): Promise<Inbox> {
  const messages: Message[] = []
  const consumer = await queue.subscribe(
    topic,
    name,
    async (message: Message) => {
      messages.push(message)
      return then(message)
    },
    options,
  )
  return inboxOf(t, messages, consumer)
}

function inboxOf(t: TestContext, messages: Message[], consumer: Running): Inbox {
  return {
    messages,
    consumer,
    ids: () => messages.map(({ id }) => id),
    bodies: () => messages.map(({ body }) => body),
    count: (n) => reaches(t, () => messages.length, n, 'messages handled'),
  }
}

/** Waits until there are `n`, as long as there are ever more: what takes long is not late while it goes on. */
export async function reaches(t: TestContext, count: () => number, n: number, what: string): Promise<void> {
  while (count() < n) {
    const before = count()
    await t.until(
      () => count() > before,
      () => `${n} ${what} (${count()} came)`,
    )
  }
}

/** A door that handlers wait at. */
export function gate(): { readonly passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined
  const passed = new Promise<void>((resolve) => (open = resolve))
  return { passed, open }
}

/** `n` bodies, `0 … n-1`. */
export function numbers(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}

/** Sends `0 … n-1` to a queue, in order; answers the ids. */
export function sendNumbers(queue: MessageQueue, queueName: string, n: number): Promise<readonly string[]> {
  return queue.sendBatch(numbers(n).map((body) => ({ body, queueName })))
}

export function sorted(list: readonly unknown[]): unknown[] {
  return [...list].sort((a, b) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : 1,
  )
}

/** Every one of `expected` once, in any order. */
export function eachOnce(actual: readonly unknown[], expected: readonly unknown[], what = 'messages'): void {
  assert.deepEqual(sorted(actual), sorted(expected), `${what}: each exactly once`)
}

/** How long work takes at best, in ms: it is done again, some times, while that is not below `enough`, as on a busy machine. */
export async function quickest(
  t: TestContext,
  enough: number,
  work: () => Promise<unknown>,
): Promise<number> {
  let took = Infinity
  for (let i = 0; i < 4 && took >= enough; i++) {
    const startedAt = t.now()
    await work()
    took = Math.min(took, t.now() - startedAt)
  }
  return took
}

/** Receives until `n` deliveries came. */
export async function receiveAll(t: TestContext, receiver: Receiver, n: number): Promise<Delivery[]> {
  const all: Delivery[] = []
  await t.until(async () => {
    // At once again, as long as something comes: some hand out one at a time.
    for (let before = -1; all.length < n && all.length > before;) {
      before = all.length
      all.push(...(await receiver.receive(n - before, t.deadline(), 200)))
    }
    return all.length >= n
  }, `${n} deliveries`)
  return all
}
