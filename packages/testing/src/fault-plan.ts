import { checkSeed, uniform } from './seed-random.ts'

/** What can go wrong. Each is legal for a broker: at least once, never less. */
export const FaultKind = {
  /** A message was handled, its acknowledgement does not arrive: it comes again. */
  LOSE_ACKNOWLEDGEMENT: 'loseAcknowledgement',
  /** A message was stored, its confirmation does not arrive: the outcome is unknown and core publishes again. */
  LOSE_CONFIRMATION: 'loseConfirmation',
  /** A message that was sent once is stored twice. Counted per message. */
  DELIVER_TWICE: 'deliverTwice',
  /** A consumer dies before its handler starts: the message goes back, uncounted. */
  CRASH_BEFORE_HANDLER: 'crashBeforeHandler',
  /** A consumer dies after its handler, before the acknowledgement: the connection breaks and the message comes again. */
  CRASH_AFTER_HANDLER: 'crashAfterHandler',
  /** A publish or settlement takes `stallMs` longer. */
  STALL: 'stall',
  /** The connection breaks at a publish, before anything is stored. */
  CUT: 'cut',
} as const
export type FaultKind = (typeof FaultKind)[keyof typeof FaultKind]

/** A probability from 0 to 1, or the occasions, counted from 1, at which it happens. */
export type FaultRule = number | readonly number[]

/** Which faults, how often. What is not named does not happen. */
export type FaultPlan = { readonly [K in FaultKind]?: FaultRule | undefined } & {
  /** Default 1000. */
  readonly stallMs?: number | undefined
  /** Most faults altogether, after which everything goes well. Default: no limit. */
  readonly limit?: number | undefined
}

const KINDS: readonly string[] = Object.values(FaultKind)

/** Throws a TypeError that names what is wrong with a plan. */
export function checkPlan(plan: FaultPlan, seed: number): void {
  checkSeed(seed)
  for (const [name, rule] of Object.entries(plan)) {
    if (rule === undefined) continue
    if (name === 'stallMs' || name === 'limit') {
      if (typeof rule !== 'number' || !(rule >= 0)) throw new TypeError(`fault plan: ${name} is 0 or more`)
    } else if (!KINDS.includes(name)) {
      throw new TypeError(`fault plan: there is no fault ${name}; there are ${KINDS.join(', ')}`)
    } else if (!isRule(rule)) {
      throw new TypeError(
        `fault plan: ${name} is a probability from 0 to 1, or an array of occasions from 1 on`,
      )
    }
  }
}

function isRule(rule: unknown): boolean {
  if (typeof rule === 'number') return rule >= 0 && rule <= 1
  return Array.isArray(rule) && rule.every((each) => Number.isInteger(each) && each >= 1)
}

/** Decides from the seed, the kind and the number of the occasion alone: one kind's faults do not depend on how often others were asked about. */
export function drawFault(rule: FaultRule, seed: number, kind: FaultKind, occasion: number): boolean {
  return typeof rule === 'number'
    ? uniform(seed, KINDS.indexOf(kind) + 1, occasion) < rule
    : rule.includes(occasion)
}
