import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import type { Answer, Job } from './job.ts'
import { loadingFlags, threadFile } from './thread-files.ts'

export interface Threads {
  /** Starts a thread when none is idle. Rejects when the job cannot be handed over, and when its thread ends or does not start. */
  run(job: Job, signal: AbortSignal): Promise<Answer>
  /** Ends the threads, and fails what they run. A job that comes meanwhile gets threads of its own. */
  close(): Promise<void>
}

interface Pool {
  readonly piscina: Piscina<Job, Answer>
  /** Why a thread ended before it was ready; `null` while all that was asked for did start. */
  failure: Error | null
}

/** At most `size` threads. Of more jobs than that at once, some would wait in a queue whose thread may never come. */
export function createThreads(size: number): Threads {
  let current: Pool | null = null

  function open(): Pool {
    const piscina = new Piscina<Job, Answer>({
      filename: fileURLToPath(threadFile),
      maxThreads: size,
      minThreads: 0,
      // Threads are kept between messages: starting one costs tens of milliseconds.
      idleTimeout: 60_000,
      // Otherwise an idle thread waits without its event loop: timers, sockets and unfinished work of the module would stand still.
      atomics: 'disabled',
      execArgv: loadingFlags(),
    })
    const pool: Pool = { piscina, failure: null }
    let last: unknown
    // A thread that crashes between two messages is replaced at the next; without a listener this would end the process.
    piscina.on('error', (error: unknown) => (last = error))
    piscina.on('workerDestroy', () =>
      // Only then is the thread off the list, and its error known.
      queueMicrotask(() => {
        if (piscina.threads.length > 0 || piscina.queueSize === 0) return
        // It starts no other thread for what waited for this one, and does not fail it either.
        pool.failure = new Error(`A worker thread did not start: ${textOf(last ?? 'it ended by itself')}`)
        if (current === pool) current = null
        void piscina.destroy()
      }),
    )
    return pool
  }

  return {
    async run(job, signal) {
      const pool = (current ??= open())
      try {
        return await pool.piscina.run(job, { signal })
      } catch (cause) {
        signal.throwIfAborted()
        if (pool.failure !== null) throw pool.failure
        const what =
          (cause as { name?: unknown } | null)?.name === 'DataCloneError'
            ? 'This message cannot be handed to a worker thread'
            : 'The worker thread ended while it ran this message'
        throw new Error(`${what}: ${textOf(cause)}`, { cause })
      }
    },
    async close() {
      const closing = current
      current = null
      await closing?.piscina.destroy()
    },
  }
}

function textOf(thrown: unknown): string {
  return String((thrown as { message?: unknown } | null)?.message ?? thrown)
}
