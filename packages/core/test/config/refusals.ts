import { inspect } from 'node:util'
import { expect } from '@jest/globals'
import { ConfigurationError, type ConfigurationProblem } from '../../src/errors.ts'

/** What a call was refused with; fails when it was not. */
export function refused(call: () => unknown): ConfigurationError {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError)
    return error as ConfigurationError
  }
  throw new Error('it was accepted')
}

/** The problems as `path: value, expected`, for tables. */
export function problemsOf(call: () => unknown): readonly ConfigurationProblem[] {
  return refused(call).problems
}

export function pathsOf(call: () => unknown): string[] {
  return problemsOf(call).map(({ path }) => path)
}

/** Every way in which an error may be looked at: its fields, stack, causes, hidden properties. */
export function everythingOf(error: unknown): string {
  const parts: string[] = []
  for (let one = error; one !== undefined && one !== null; one = (one as { cause?: unknown }).cause) {
    const own = Object.getOwnPropertyNames(one).map((name) => [name, (one as Record<string, unknown>)[name]])
    parts.push(
      String((one as Error).stack),
      JSON.stringify(own),
      JSON.stringify(one),
      inspect(one, { depth: 20, showHidden: true }),
    )
  }
  return parts.join('\n')
}
