/** From the client's side: 'up' is what it sends, 'down' is what it receives. */
export type Direction = 'up' | 'down'

/** What the proxy does to bytes now; shared by all its connections. */
export interface Faults {
  readonly held: Record<Direction, boolean>
  delayMs: number
  /** Per connection and direction; Infinity: as fast as it goes. */
  bytesPerSecond: number
  /** Bytes that may still pass before everything is cut; undefined: no such limit. */
  remaining: number | undefined
}

export function noFaults(): Faults {
  return { held: { up: false, down: false }, delayMs: 0, bytesPerSecond: Infinity, remaining: undefined }
}

/** How much of `length` bytes may leave now, and how long to wait after they did. */
export function allowance(
  length: number,
  faults: Pick<Faults, 'bytesPerSecond' | 'remaining'>,
): { bytes: number; pauseMs: number; cut: boolean } {
  const { bytesPerSecond, remaining } = faults
  // Twenty portions a second: smooth enough for time-outs, few enough timers.
  const portion =
    bytesPerSecond === Infinity ? length : Math.min(length, Math.max(1, Math.floor(bytesPerSecond / 20)))
  const bytes = remaining === undefined ? portion : Math.min(portion, remaining)
  const pauseMs = bytesPerSecond === Infinity ? 0 : (bytes / bytesPerSecond) * 1000
  return { bytes, pauseMs, cut: remaining !== undefined && bytes === remaining }
}
