/** Runs calls, so many at a time; the others wait in the order in which they came, urgent ones before all. */
export function atATime(most: number): <T>(call: () => Promise<T>, urgent?: boolean) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (call, urgent = false) => {
    if (running < most) running++
    else await new Promise<void>((resolve) => (urgent ? waiting.unshift(resolve) : waiting.push(resolve)))
    try {
      return await call()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
