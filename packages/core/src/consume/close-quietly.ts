import type { Receiver } from '../adapter/contract.ts'

/** How long closing a receiver may take, in ms. */
export const CLOSE_MS = 5000

/** Closes a receiver that is of no use any more: one that failed, or was opened too late. Never rejects: nobody waits for it. */
export async function closeQuietly(receiver: Receiver): Promise<void> {
  try {
    await receiver.close(AbortSignal.timeout(CLOSE_MS))
  } catch {
    // Whatever it still holds comes back when its lease ends or its connection closes.
  }
}
