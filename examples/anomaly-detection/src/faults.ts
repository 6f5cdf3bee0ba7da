import { readingId, type Reading } from './readings.ts'

/** How a row is spoilt on its way, and what refuses it. */
export const Corruption = {
  /** The temperature is a text: the schema refuses it. */
  TEXT: 'text',
  /** There is no temperature: the schema refuses it. */
  MISSING: 'missing',
  /** What a broken sensor sends, 9999: the schema refuses it. */
  SENTINEL: 'sentinel',
  /** The 31st of February: only the handler can know. */
  DATE: 'date',
  /** The bytes end in the middle: it is no JSON any more. */
  CUT_OFF: 'cut-off',
} as const
export type Corruption = (typeof Corruption)[keyof typeof Corruption]

/** Everything that will go wrong in a run, by id. The same seed answers the same plan on every broker. */
export interface FaultPlan {
  readonly corrupted: ReadonlyMap<string, Corruption>
  /** How many of the first attempts fail: 1 or 2, fewer than the retries that are allowed. */
  readonly transient: ReadonlyMap<string, number>
}

const CORRUPTED_SHARE = 0.01
const TRANSIENT_SHARE = 0.03

export function planFaults(readings: readonly Reading[], seed: number): FaultPlan {
  const random = mulberry32(seed)
  const kinds = Object.values(Corruption)
  const corrupted = new Map<string, Corruption>()
  const transient = new Map<string, number>()
  for (const reading of readings) {
    const drawn = random()
    const detail = random()
    if (drawn < CORRUPTED_SHARE) {
      corrupted.set(readingId(reading), kinds[Math.floor(detail * kinds.length)] ?? Corruption.MISSING)
    } else if (drawn < CORRUPTED_SHARE + TRANSIENT_SHARE) {
      transient.set(readingId(reading), detail < 0.5 ? 1 : 2)
    }
  }
  return { corrupted, transient }
}

/** The body as it leaves a faulty station: a JSON value, or bytes that claim to be JSON. */
export function spoil(reading: Reading, how: Corruption): unknown {
  const { station, date, temperature } = reading
  switch (how) {
    case Corruption.TEXT:
      return { station, date, temperature: `${temperature} °C` }
    case Corruption.MISSING:
      return { station, date }
    case Corruption.SENTINEL:
      return { station, date, temperature: 9999 }
    case Corruption.DATE:
      return { station, date: `${date.slice(0, 4)}-02-31`, temperature }
    case Corruption.CUT_OFF:
      return Buffer.from(JSON.stringify(reading).slice(0, -8))
  }
}

/** Small generator with a seed, by Tommy Ettinger (public domain); 0 to 1. */
function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
