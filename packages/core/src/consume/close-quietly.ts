import type { Capabilities, Receiver } from '../adapter/contract.ts'

/** How long closing a receiver may take, in ms. */
export const CLOSE_MS = 5000
/** The same where what was settled is told as it closes, and whoever stops has so much time. */
const MOST_CLOSE_MS = 30_000

/** How long closing a receiver may take, with `left` ms of the time to stop. */
export function closingMs({ settle }: Capabilities, left: number): number {
  return settle === 'deferred' ? Math.max(CLOSE_MS, Math.min(left, MOST_CLOSE_MS)) : CLOSE_MS
}

/** Closes a receiver that is of no use any more: one that failed, or was opened too late. Never rejects: nobody waits for it. */
export async function closeQuietly(receiver: Receiver): Promise<void> {
  try {
    await receiver.close(AbortSignal.timeout(CLOSE_MS))
  } catch {
    // Whatever it still holds comes back when its lease ends or its connection closes.
  }
}
