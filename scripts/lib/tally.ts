/** The last line of `pnpm test` and `pnpm check`; `.ci/run` adds several of them up. */
export function tallyLine(passed: number, failed: number): string {
  return `${passed} passed, ${failed} failed`
}

/** `1.4 s`, `2 min 3 s`. */
export function duration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}
