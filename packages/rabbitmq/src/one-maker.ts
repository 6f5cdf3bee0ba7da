import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { classify, isMissing, replyCode } from './errors.ts'
import { own } from './names.ts'

/**
 * One connection at a time makes a queue, or deletes it. Whoever declares a queue that another connection is just making is answered before the queue has
 * a leader: what is published to it then is refused, and who reads it loses the connection. And of two who make several things that belong
 * together neither sees what the other asks for. So whoever is at a queue holds meanwhile an exclusive one, by whose name all know of it.
 */
export interface OneMaker {
  /** Runs `work` alone, or, once the queue is there and nobody is at it, beside others. Never called by `work` for the same queue. */
  make<T>(queue: string, work: (isNew: boolean) => Promise<T>): Promise<T>
  /** The same for who deletes it. */
  alone<T>(queue: string, work: () => Promise<T>): Promise<T>
  /** Whether it is there to be read: waits for who is making it. */
  isMade(queue: string): Promise<boolean>
}

/** Between two looks at a queue that another connection is at; longer each time, for many may look. */
const LOOK_MS = 25

/** One that is cut off holds others up no longer: they go on all the same. */
const MOST_MS = 5_000

export function createOneMaker(
  connection: Pick<Connection, 'admin'>,
  exists: (queue: string) => Promise<boolean>,
): OneMaker {
  const turns = new Map<string, Promise<unknown>>()

  /** Also one of another connection, or of somebody else. */
  const isThere = (queue: string): Promise<boolean> =>
    exists(queue).catch((error: unknown) => {
      if (replyCode(error) === 405 || replyCode(error) === 403) return true
      throw error
    })

  /** Of this connection calls come in turn: what could be deleted here is not in use. */
  const isFree = (mark: string): Promise<boolean> =>
    unlessLocked(connection.admin((channel) => channel.deleteQueue(mark)))

  const take = (mark: string): Promise<boolean> => {
    const form = { exclusive: true, durable: false, arguments: { 'x-queue-type': 'classic' } }
    return unlessLocked(connection.admin((channel) => channel.assertQueue(mark, form)))
  }

  /** Looks until nobody is at it; answers false once it has waited long enough. */
  const patiently = async (mark: string, look: () => Promise<boolean>): Promise<boolean> => {
    const end = performance.now() + MOST_MS
    for (let looks = 0; performance.now() < end; await pause(++looks * LOOK_MS))
      if ((looks === 0 || (await isFree(mark))) && (await look())) return true
    return false
  }

  const run = async <T>(
    mark: string,
    isNeeded: () => Promise<boolean>,
    work: (isNew: boolean) => Promise<T>,
  ): Promise<T> => {
    let isNew = false
    let taken = false
    const inTime = await patiently(mark, async () => {
      isNew = await isNeeded()
      if (!isNew) return isFree(mark)
      return (taken = await take(mark))
    })
    if (!inTime) isNew = await isNeeded()
    try {
      return await work(isNew)
    } finally {
      if (taken) await isFree(mark).catch(() => undefined)
    }
  }

  const inTurn = <T>(queue: string, call: (mark: string) => Promise<T>): Promise<T> => {
    const mark = own.making(queue)
    const turn = (turns.get(mark) ?? Promise.resolve()).then(() => call(mark))
    const over = turn
      .catch(() => undefined)
      .then(() => {
        if (turns.get(mark) === over) turns.delete(mark)
      })
    turns.set(mark, over)
    return turn
  }

  return {
    make: (queue, work) => inTurn(queue, (mark) => run(mark, async () => !(await isThere(queue)), work)),
    alone: (queue, work) => inTurn(queue, (mark) => run(mark, () => Promise.resolve(true), work)),
    async isMade(queue) {
      if (!(await exists(queue))) return false
      await inTurn(queue, (mark) => patiently(mark, () => isFree(mark)))
      return true
    },
  }
}

/** Whether nobody else has it. Who may have no such queue, for want of a right or of room, does without. */
async function unlessLocked(call: Promise<unknown>): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    const code = replyCode(error)
    if (code === 403 || code === 406) return true
    // Its owner may have been at a node that went down.
    if (code === 405 || classify(error).code === 'MQ_UNAVAILABLE') return false
    throw error
  }
}

/** To make what somebody else removes. */
const ATTEMPTS = 5

/** Whoever deletes a queue, or its topic, meanwhile takes away what is made here, at any point: then all of it is made again. */
export async function madeAgain<T>(make: (again: boolean) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++)
    try {
      return await make(attempt > 1)
    } catch (error) {
      if (attempt === ATTEMPTS || !isMissing(error)) throw error
    }
}
