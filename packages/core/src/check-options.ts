import { didYouMean } from './config/suggest.ts'
import { ValidationError } from './errors.ts'

/** Refuses options that `where` does not have: one that is misspelled must not be ignored. Throws `ValidationError`, or `Refused`. */
export function checkOptions<Options extends object>(
  options: Options,
  names: readonly (keyof Options & string)[],
  where: string,
  Refused: new (message: string) => Error = ValidationError,
): void {
  if (typeof options !== 'object' || (options as object | null) === null)
    throw new Refused(`The options of ${where} are an object`)
  for (const name in options) {
    if (!(names as readonly string[]).includes(name))
      throw new Refused(`${where} has no option ${JSON.stringify(name)}${didYouMean(name, names)}`)
  }
}

/** Throws `ValidationError` unless the value is a finite number of at least `least`. */
export function checkMs(value: number, name: string, least: number): void {
  if (!(Number.isFinite(value) && value >= least)) {
    throw new ValidationError(`${name} must be a number, ${least} or more; it is ${String(value)}`)
  }
}
