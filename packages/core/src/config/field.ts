import { Type, type TSchema } from 'typebox'
import { LONGEST_TIMER_MS } from '../adapter/clock.ts'

/** What the reference says about a field, beside its type. Kept in the schema itself. */
export interface FieldNotes {
  readonly description: string
  /** `ms`, `seconds`, `bytes`, … */
  readonly unit?: string
  /** Brokers that use the field; all when left out. */
  readonly brokers?: readonly string[]
  /** A default that is no plain value, in words. */
  readonly defaultText?: string
  /** Never shown in an error. */
  readonly secret?: true
  /** What an error says was expected; derived from the type when left out. */
  readonly expected?: string
  /** Values that are refused for a reason of their own. */
  readonly refusals?: Readonly<Record<string, string>>
}

interface Range {
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
}

/** Above this, a field in seconds whose name does not say so was most likely meant in ms. */
export const MOST_SECONDS = 600

type With<D> = FieldNotes & Range & { readonly default: D }

export function integer(notes: With<number>) {
  return Type.Integer({ maximum: Number.MAX_SAFE_INTEGER, ...notes })
}

export function number(notes: With<number>) {
  return Type.Number({ ...notes })
}

export function boolean(notes: FieldNotes & { readonly default: boolean }) {
  return Type.Boolean({ ...notes })
}

/** Exactly one of the given strings. */
export function oneOf<T extends string>(
  values: readonly T[],
  notes: FieldNotes & { readonly default: NoInfer<T> },
) {
  return Type.Enum<T[]>([...values], { expected: `one of ${listOf(values)}`, ...notes, values })
}

/** The same, or `null` for "none". */
export function oneOfOrNone<T extends string>(values: readonly T[], notes: FieldNotes) {
  const noted = { expected: `one of ${listOf(values)}`, ...notes, values }
  return orNone(Type.Enum<T[]>([...values]), noted)
}

export function integerOrNone(notes: FieldNotes & Range) {
  const { minimum, maximum = Number.MAX_SAFE_INTEGER, ...rest } = notes
  const range = { ...(minimum !== undefined && { minimum }), maximum }
  return orNone(Type.Integer(range), { expected: inRange('a whole number', range), ...rest })
}

export function numberOrNone(notes: FieldNotes & Range) {
  const { minimum, exclusiveMinimum, maximum, ...rest } = notes
  const range = {
    ...(minimum !== undefined && { minimum }),
    ...(exclusiveMinimum !== undefined && { exclusiveMinimum }),
    ...(maximum !== undefined && { maximum }),
  }
  return orNone(Type.Number(range), { expected: inRange('a number', range), ...rest })
}

export function textOrNone(notes: FieldNotes) {
  return orNone(Type.String({ minLength: 1 }), { expected: 'a string that is not empty', ...notes })
}

/** `null` says "none", and is the default. */
export function orNone<T extends TSchema>(type: T, notes: FieldNotes) {
  return Type.Union([type, Type.Null()], { default: null, ...notes })
}

/** What an error says that a field takes. */
export function expectation(
  schema: TSchema & Partial<FieldNotes> & Range & { readonly type?: unknown },
): string {
  if (schema.expected !== undefined) return schema.expected
  switch (schema.type) {
    case 'integer':
      return inRange('a whole number', schema)
    case 'number':
      return inRange('a number', schema)
    case 'boolean':
      return 'true or false'
    case 'string':
      return 'a string'
    default:
      return 'another kind of value'
  }
}

function inRange(what: string, { minimum, exclusiveMinimum, maximum }: Range): string {
  const bounded = maximum !== undefined && maximum <= LONGEST_TIMER_MS
  if (exclusiveMinimum !== undefined)
    return `${what} above ${exclusiveMinimum}${bounded ? `, at most ${maximum}` : ''}`
  if (minimum !== undefined)
    return bounded ? `${what} from ${minimum} to ${maximum}` : `${what}, ${minimum} or more`
  return bounded ? `${what}, at most ${maximum}` : what
}

function listOf(values: readonly string[]): string {
  return values.map((value) => `"${value}"`).join(', ')
}
