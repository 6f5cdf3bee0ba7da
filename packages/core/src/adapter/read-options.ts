import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { withoutUndefined } from '../config/data.ts'
import { optionProblems } from '../config/option-problems.ts'
import { ConfigurationError } from '../errors.ts'
import type { AdapterLogger } from './contract.ts'

const quiet: AdapterLogger = { debug() {}, info() {}, warn() {}, error() {} }

export interface ReadOptions<T> {
  /** A copy, with the schema's defaults where nothing was given. Of the schema's shape only if there are no problems. */
  readonly values: T
  /** One that says nothing where none was given. */
  readonly logger: AdapterLogger
  /** What is wrong, a text each, which never shows a value: add what is wrong with several together, and throw them all at once. */
  readonly problems: string[]
}

/**
 * What an adapter was given, beside its `logger`. Throws `ConfigurationError` for what is no object of options, a URL for example: nothing of that would be
 * left, and the defaults would be connected to. `example` shows what is.
 */
export function readOptions<S extends TSchema>(
  schema: S,
  options: object,
  broker: string,
  example: string,
): ReadOptions<Static<S>> {
  const kind = Object.prototype.toString.call(options)
  if (typeof options !== 'object' || /Null|Array|URL/.test(kind))
    throw new ConfigurationError(`${broker} options are an object, such as ${example}`)
  const { logger, ...given } = options as { readonly logger?: AdapterLogger }
  const own = Object.entries(withoutUndefined(given)).map(([name, value]) => [name, copied(value)] as const)
  const values = Value.Default(schema, Object.fromEntries(own)) as Static<S>
  return { values, logger: logger ?? quiet, problems: optionProblems(schema, values) }
}

/** What cannot be copied, a function for example, no option takes: it stays for the schema to refuse. */
function copied(value: unknown): unknown {
  try {
    return structuredClone(value)
  } catch {
    return value
  }
}
