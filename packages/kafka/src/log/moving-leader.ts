import { pause } from '../abort.ts'
import { type Connection, isAway } from '../connection.ts'
import { leaderMoves } from '../errors.ts'

/** A leader that moves is waited for: so many tries, and a wait between them that grows by a step up to the most. Some 24 s in all. */
const TRIES = 100
const STEP_MS = 25
const MOST_MS = 250

/**
 * Whether what failed with this error, at its `tries`th try, may succeed once the partition has a leader again: it is named as the leader for a while after
 * its end. Whether any broker is left shows another look at the topic.
 */
export function mayBeLed(connection: Connection, error: unknown, tries: number): boolean {
  return tries < TRIES && (leaderMoves(error) || isAway(connection, error))
}

/** The wait before the next try. */
export function pauseForLeader(tries: number): Promise<void> {
  return pause(Math.min(tries * STEP_MS, MOST_MS))
}
