import type { StandardSchemaV1 } from './standard-schema.ts'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/schema'
import { MessageQueueError, toError, ValidationError } from '../errors.ts'

/** What classes, functions, arrays and other validators have, and no TypeBox or JSON Schema: TypeBox's own type lets every object pass. */
interface NoSchema {
  readonly bind?: never
  readonly concat?: never
  readonly parse?: never
  readonly safeParse?: never
  readonly validate?: never
}

/** A TypeBox schema (or JSON Schema), or any validator with the Standard Schema interface (https://standardschema.dev). */
export type BodySchema = (TSchema & NoSchema) | StandardSchemaV1

/** What schemas of TypeBox before 1.0 (`@sinclair/typebox`) carry. */
interface OldTypeBox<Body> {
  readonly params: readonly unknown[]
  readonly static: Body
}

/** What typed queues, typed topics and their subscriptions carry. */
interface Typed<Body, In> {
  readonly name: string
  readonly schema: unknown
  readonly body?: Body
  readonly input?: In
}

type JsonBodyOf<S> = S extends OldTypeBox<infer Body> ? Body : S extends TSchema ? Static<S> : unknown

/** The type of a body that a schema lets pass, or that a typed queue, typed topic or subscription has. */
export type BodyOf<S> =
  S extends StandardSchemaV1<unknown, infer Output>
    ? Output
    : S extends Typed<infer Body, unknown>
      ? Body
      : JsonBodyOf<S>

/** The type of a body that is sent, before a schema changes it. */
export type InputOf<S> =
  S extends StandardSchemaV1<infer Input, unknown>
    ? Input
    : S extends Typed<unknown, infer In>
      ? In
      : JsonBodyOf<S>

/**
 * Answers the body as its receiver sees it (a Standard Schema may change it), or throws `ValidationError` naming every problem. What is
 * sent is checked alone: its receiver has the schema change it.
 */
export type Validate = (body: unknown) => unknown

const compiled = new WeakMap<object, Validate>()

/** The validator of a schema, compiled once per schema. Throws `ValidationError` for what is none. */
export function validatorOf(schema: BodySchema): Validate {
  if (!isStandard(schema)) refuseOthers(schema)
  let validate = compiled.get(schema)
  if (validate === undefined) {
    validate = guarded(isStandard(schema) ? standardValidator(schema) : typeboxValidator(schema))
    compiled.set(schema, validate)
  }
  return validate
}

/** A validator that fails itself says nothing good of the body either. */
function guarded(validate: Validate): Validate {
  return (body) => {
    try {
      return validate(body)
    } catch (cause) {
      if (MessageQueueError.is(cause)) throw cause
      throw new ValidationError(`The schema failed at the body: ${toError(cause).message}`, { cause })
    }
  }
}

// Some validators are functions.
function isStandard(schema: unknown): schema is StandardSchemaV1 {
  return (
    (typeof schema === 'function' || (typeof schema === 'object' && schema !== null)) && '~standard' in schema
  )
}

const METHODS = ['parse', 'safeParse', 'validate'] as const

/** As a JSON Schema, a class or a validator of another kind has no keyword that says anything: every body would pass. */
function refuseOthers(schema: unknown): void {
  const problem = problemOf(schema)
  if (problem === null) return
  throw new ValidationError(
    `A schema is a TypeBox schema, a JSON Schema, or a Standard Schema validator (zod >= 3.24, valibot, arktype); it is ${problem}`,
  )
}

function problemOf(schema: unknown): string | null {
  if (typeof schema === 'function') return `a function or class, ${schema.name || 'without a name'}`
  if (typeof schema !== 'object' || schema === null) return String(schema)
  if (Array.isArray(schema)) return 'an array'
  if ('~kind' in schema) return null
  const method = METHODS.find((name) => typeof (schema as Record<string, unknown>)[name] === 'function')
  if (method !== undefined) return `an object with a method ${method}, and without '~standard'`
  const prototype: unknown = Object.getPrototypeOf(schema)
  // Plain objects of another realm, too.
  return prototype === null || Object.getPrototypeOf(prototype) === null ? null : 'an instance of a class'
}

function standardValidator(schema: StandardSchemaV1): Validate {
  return (body) => {
    const result = schema['~standard'].validate(body)
    if ('then' in result) {
      // Nobody waits for it: what it rejects with would be nobody's.
      result.then(undefined, () => undefined)
      throw new ValidationError(
        'An asynchronous schema cannot be used: bodies are checked while a message is handed over',
      )
    }
    if (result.issues === undefined) return result.value
    throw invalid(
      result.issues.map((issue) => {
        const path = (issue.path ?? [])
          .map((part) => String(typeof part === 'object' ? part.key : part))
          .join('/')
        return `${path === '' ? '' : `/${path} `}${issue.message}`
      }),
    )
  }
}

function typeboxValidator(schema: TSchema): Validate {
  const validator = Compile(schema)
  return (body) => {
    if (validator.Check(body)) return body
    const [, errors] = validator.Errors(body)
    throw invalid(errors.map((error) => `${error.instancePath} ${error.message}`.trim()))
  }
}

function invalid(problems: readonly string[]): ValidationError {
  const shown = problems.slice(0, 10).join('; ')
  const more = problems.length > 10 ? `; and ${problems.length - 10} more` : ''
  return new ValidationError(`The body does not match the schema: ${shown}${more}`)
}
