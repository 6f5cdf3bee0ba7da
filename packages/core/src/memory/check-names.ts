import { ConfigurationError } from '../adapter/index.ts'

/** Refuses what is no object, and options that `where` does not have: one that is misspelled must not be ignored. */
export function checkNames(options: object, names: readonly string[], where: string): void {
  if (typeof options !== 'object' || (options as object | null) === null)
    throw new ConfigurationError(`The options of ${where} are an object`)
  for (const name in options) {
    if (!names.includes(name)) {
      throw new ConfigurationError(
        `${where} has no option ${JSON.stringify(name)}; there are ${names.join(', ')}`,
      )
    }
  }
}
