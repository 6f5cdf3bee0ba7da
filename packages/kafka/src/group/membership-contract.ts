import type { Connection } from '../connection.ts'
import type { MemberView } from './assignor.ts'

export type Parts = Readonly<Record<string, readonly number[]>>

/** What a group committed for one partition. */
export interface Commit {
  readonly offset: number
  readonly metadata: string | null
}

export interface CommitEntry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly metadata: string
}

export interface MembershipHooks {
  /** What this member reads and wants, asked for at each round. */
  view(): Omit<MemberView, 'id' | 'topics'>
  /** A round begins: commits what is done, by the generation that ends. */
  prepare(): Promise<void>
  /** The round's result. `moving`: another round will follow. */
  assigned(parts: Parts, moving: boolean): void
  /** The group went on without this member: whatever it read belongs to others. */
  lost(cause: unknown): void
  /** The first of its topics is not there any more. */
  missing(): void
  /** It cannot take part. */
  failed(error: unknown): void
}

export interface Membership {
  readonly memberId: string
  /** How long this member was silent, in ms, by its own doing: a stalled process cannot know what it still owns. */
  silentFor(): number
  readonly sessionMs: number
  /** The last round had other members, too. */
  readonly hasOthers: boolean
  /** Asks for another round. */
  rejoin(): void
  /** Looks now whether the group is still the same. */
  poke(): void
  /** By the current generation; rejects unless the coordinator took every entry. */
  commit(entries: readonly CommitEntry[]): Promise<void>
  /** What the group committed. */
  committed(parts: Parts): Promise<Map<string, Commit>>
  /** Leaves the group, at the latest on abort. */
  stop(leave: boolean, signal: AbortSignal): Promise<void>
}

export interface MembershipSetup {
  readonly connection: Connection
  readonly group: string
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  /** Members that the brokers still wait for, by group: what an earlier one left here is got rid of first. */
  readonly ghosts: Map<string, string>
  readonly hooks: MembershipHooks
}
