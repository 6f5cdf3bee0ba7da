import { pathToFileURL } from 'node:url'

/** True in the module that Node was started with. */
export function isMain(url: string): boolean {
  return process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === url
}

/** Prints problems, one a line, and the verdict; sets the exit code. */
export function report(subject: string, problems: readonly string[]): void {
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
  console.log(problems.length === 0 ? `${subject}: fine` : `${subject}: ${problems.length} problem(s)`)
}

/** Ends with exit code 2 and one line: what was ignored would be believed to hold. */
export function refuse(problem: string): never {
  console.error(problem)
  process.exit(2)
}

/** For a script without arguments. */
export function refuseArguments(name: string): void {
  const given = process.argv.slice(2)
  if (given.length > 0) refuse(`${name} takes no arguments; it was given ${given.join(' ')}`)
}
