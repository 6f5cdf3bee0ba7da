import { adapterErrorOf } from '@mq/core/adapter'
import { classify } from './errors.ts'

/** Whoever has not answered for so long is no longer waited for alone, in ms. */
const PATIENCE_MS = 1_000

/** The same, unless so many have to be tried within `ms`. */
export function patience(ms: number, tries: number): number {
  return Math.min(PATIENCE_MS, ms / (tries + 1))
}

/**
 * The first that succeeds. Each begins when the one before failed, or has had `patienceMs`, and then both go on: one that says nothing must not
 * take the time of another that answers. Rejects with the failure that tells most when all have failed; after as long again when one of them
 * is a mistake that no waiting mends; at once when it is `final`.
 */
export function firstOf<T>(
  attempts: readonly (() => Promise<T>)[],
  patienceMs = PATIENCE_MS,
  final: (error: unknown) => boolean = () => false,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const failures: unknown[] = []
    let begun = 0
    let over = false
    let timer: NodeJS.Timeout | undefined
    const end = (): void => {
      over = true
      clearTimeout(timer)
    }
    const fail = (error: unknown): void => {
      end()
      reject(error)
    }
    const next = (): void => {
      clearTimeout(timer)
      timer = setTimeout(goOn, patienceMs)
      timer.unref()
      const mine = begun++
      ;(attempts[mine] as () => Promise<T>)().then(
        (answer) => {
          end()
          resolve(answer)
        },
        (error: unknown) => {
          failures.push(error)
          if (over) return
          if (final(error)) fail(error)
          else if (failures.length === attempts.length) fail(telling(failures))
          else if (begun === mine + 1 && begun < attempts.length) next()
        },
      )
    }
    const goOn = (): void => {
      if (begun < attempts.length) next()
      else if (failures.some(isMistake)) fail(telling(failures))
      // One may be made yet.
      else timer = setTimeout(goOn, patienceMs).unref()
    }
    next()
  })
}

/** A mistake, then what was found out here, then what failed first: time-outs come last. */
function telling(failures: readonly unknown[]): unknown {
  return failures.find(isMistake) ?? failures.find((error) => adapterErrorOf(error) !== null) ?? failures[0]
}

function isMistake(error: unknown): boolean {
  return !classify(error).retryable
}
