import { didYouMean } from './config/suggest.ts'
import { ValidationError } from './errors.ts'

type Refusal = new (message: string) => Error

/** The options, unless they are no object: callers in plain JavaScript may give anything. Throws `ValidationError`, or `Refused`. */
export function checkObject<T>(options: T, where: string, Refused: Refusal = ValidationError): T {
  if (typeof options === 'object' && options !== null) return options
  throw new Refused(`The options of ${where} are an object`)
}

/** Refuses options that `where` does not have: one that is misspelled must not be ignored. Throws `ValidationError`, or `Refused`. */
export function checkOptions<Options extends object>(
  options: Options,
  names: readonly (keyof Options & string)[],
  where: string,
  Refused: Refusal = ValidationError,
): void {
  checkObject(options, where, Refused)
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
