import type { TSchema } from 'typebox'
import { Errors } from 'typebox/schema'
import { didYouMean } from './suggest.ts'

/** What of a schema leads to its options. */
interface Node {
  readonly properties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly anyOf?: readonly Node[]
  readonly default?: unknown
}

/** What errors say beside their message, each some of it. */
interface Details {
  readonly additionalProperties?: readonly string[]
  readonly requiredProperties?: readonly string[]
  readonly allowedValues?: readonly unknown[]
  readonly type?: string | readonly string[]
}

/**
 * What is wrong with an object of options, a text each: where, and what belongs there. Empty: nothing. No value is ever shown, for it
 * may be a secret.
 */
export function optionProblems(schema: TSchema, options: unknown): string[] {
  const [, errors] = Errors(schema, options)
  const details = (error: (typeof errors)[number]) => error.params as Details
  /** Fields that take one of several types. */
  const unions = new Set(
    errors.filter(({ keyword }) => keyword === 'anyOf').map((error) => error.instancePath),
  )
  return errors.flatMap((error) => {
    const { keyword, instancePath } = error
    const path = instancePath.split('/').slice(1)
    const at = (...names: string[]): string => [...path, ...names].join('.') || 'options'
    // Of each unknown option besides, in words that help nobody.
    if (keyword === 'boolean') return []
    if (keyword === 'type' && unions.has(instancePath)) return []
    if (keyword === 'anyOf') {
      const ofThis = errors.filter((each) => each.instancePath === instancePath)
      // It is of one of the types, and something else is wrong with it, or in it.
      const ofOne =
        ofThis.some((each) => !['type', 'anyOf'].includes(each.keyword)) ||
        errors.some((each) => each.instancePath.startsWith(`${instancePath}/`))
      const types = ofThis.flatMap((each) => details(each).type ?? [])
      return ofOne ? [] : `${at()} must be ${types.join(' or ')}`
    }
    const { additionalProperties, requiredProperties, allowedValues } = details(error)
    const known = new Map(optionsAt(schema, path))
    if (additionalProperties !== undefined)
      return additionalProperties.map(
        (name) => `${at(name)}: no such option${didYouMean(name, [...known.keys()])}`,
      )
    if (requiredProperties !== undefined)
      // Of several types none was filled in, as none of them fits.
      return requiredProperties
        .filter((name) => known.get(name)?.default === undefined)
        .map((name) => `${at(name)} is missing`)
    return `${at()} ${allowedValues === undefined ? error.message : `must be one of ${allowedValues.join(', ')}`}`
  })
}

function optionsAt(
  { properties = {}, items, anyOf = [] }: Node,
  path: readonly string[],
): readonly (readonly [string, Node])[] {
  const ofUnion = anyOf.flatMap((node) => optionsAt(node, path))
  const [first, ...rest] = path
  if (first === undefined) return [...Object.entries(properties), ...ofUnion]
  const next = properties[first] ?? items
  return next === undefined ? ofUnion : optionsAt(next, rest)
}
