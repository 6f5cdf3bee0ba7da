import type { Static, TObject, TSchema } from 'typebox'
import { Check } from 'typebox/schema'
import { ConfigurationError, type ConfigurationProblem } from '../errors.ts'
import { copy, isData, isRecord } from './data.ts'
import { expectation, MOST_SECONDS, type FieldNotes } from './field.ts'
import { HIDDEN, show } from './secrets.ts'
import { didYouMean } from './suggest.ts'

/** Notes a problem of one field; `value` is text that is safe to show. */
export type Report = (field: string, value: string, expected: string) => void

/** Checks and completes an input, reporting every problem. What was refused is missing from the answer. */
export type Collect<T> = (input: unknown, report: Report) => T

export type Given = Readonly<Record<string, unknown>>

export interface Definition<S extends TObject> {
  readonly schema: S
  /** Fields that are objects with fields of their own. */
  readonly nested?: Readonly<Record<string, Collect<unknown>>>
  /** Brings the forms in which a field may be written into one. Answers a new object. */
  readonly prepare?: (given: Given, report: Report) => Given
  /** Checks fields against each other and fills in defaults that follow from other fields. A refused field is `undefined`. */
  readonly finish?: (parsed: Static<S>, given: Given, report: Report) => void
}

/** A configuration's schema together with the one way to read it. */
export type Parsed<S extends TSchema> = S & {
  /** The complete form of an input. Throws `ConfigurationError`, listing every problem. Never changes its input. */
  parse(input?: unknown): Static<S>
}

/** The function that reads an object of this definition. */
export function collector<S extends TObject>(definition: Definition<S>): Collect<Static<S>> {
  const { schema, nested = {}, prepare, finish } = definition
  const fields = Object.entries(schema.properties as Record<string, TSchema>)
  const names = fields.map(([name]) => name)
  return (input, report) => {
    const raw = input === undefined ? {} : input
    if (!isRecord(raw)) {
      report('', `(${kindOf(raw)})`, 'an object')
      return {} as Static<S>
    }
    // A typo may well hide a password, so the value of an unknown option is never shown.
    for (const name of Object.keys(raw)) {
      if (!names.includes(name)) report(name, HIDDEN, `a known option${didYouMean(name, names)}`)
    }
    const own: Given = Object.fromEntries(
      Object.entries(raw).filter(([name, value]) => names.includes(name) && value !== undefined),
    )
    const given = prepare === undefined ? own : prepare(own, report)
    const parsed: Record<string, unknown> = {}
    for (const [name, field] of fields) {
      const collect = nested[name]
      const value = given[name]
      if (collect !== undefined) parsed[name] = collect(value, under(report, name))
      else if (value === undefined && !(name in given)) setDefault(parsed, name, field, report)
      else if (Check(field, value) && isData(value)) parsed[name] = copy(value)
      else if (value !== undefined) report(name, shown(field, own[name]), expected(field, value))
    }
    finish?.(parsed as Static<S>, given, report)
    return parsed as Static<S>
  }
}

function setDefault(parsed: Record<string, unknown>, name: string, field: TSchema, report: Report): void {
  const { default: fallback } = field as { default?: unknown }
  if (fallback === undefined) report(name, 'missing', expectation(field))
  else parsed[name] = copy(fallback)
}

/** The problems of a part, with its name in front of each path. */
export function under(report: Report, name: string): Report {
  return (field, value, what) => report(field === '' ? name : `${name}.${field}`, value, what)
}

/** Runs a collector; throws `ConfigurationError` when anything is wrong. */
export function parseWith<T>(collect: Collect<T>, what: string, input: unknown): T {
  const problems: ConfigurationProblem[] = []
  const parsed = collect(input, (path, value, expectedText) =>
    problems.push({ path, value, expected: expectedText }),
  )
  throwIfAny(problems, what)
  return parsed
}

/** Throws one readable error for all problems, if there are any. */
export function throwIfAny(problems: readonly ConfigurationProblem[], what: string): void {
  if (problems.length === 0) return
  const lines = problems.map(
    ({ path, value, expected: text }) =>
      `  ${path === '' ? '(all of it)' : path}: ${value}, expected ${text}`,
  )
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  throw new ConfigurationError(`${what} has ${count}:\n${lines.join('\n')}`, { problems })
}

/** The schema, with a `parse` that does not show up among its keywords. */
export function withParse<S extends TSchema>(schema: S, parse: (input?: unknown) => Static<S>): Parsed<S> {
  return Object.defineProperty(schema, 'parse', { value: parse }) as Parsed<S>
}

function shown(field: TSchema & Partial<FieldNotes>, value: unknown): string {
  return field.secret === true ? HIDDEN : show(value)
}

function expected(field: TSchema & Partial<FieldNotes>, value: unknown): string {
  const { refusals, values, unit, maximum } = field as Partial<FieldNotes> & {
    values?: readonly string[]
    maximum?: number
  }
  if (typeof value === 'string') {
    const refusal = refusals !== undefined && Object.hasOwn(refusals, value) ? refusals[value] : undefined
    const text = expectation(field)
    if (refusal !== undefined) return `${text}: ${refusal}`
    return values === undefined ? text : `${text}${didYouMean(value, values)}`
  }
  const inMs =
    unit === 'seconds' && maximum === MOST_SECONDS && typeof value === 'number' && value > MOST_SECONDS
  return inMs ? `${expectation(field)}: seconds, not ms?` : expectation(field)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'not a plain object' : `a ${typeof value}`
}
