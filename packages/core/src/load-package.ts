import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ErrorCode } from './error-codes.ts'
import { ConfigurationError } from './errors.ts'

/**
 * The file that an optional package would be loaded from, or `null` when it is not installed: looked for from this package, then
 * from the program's entry file, then from the working directory, since strict package managers hide from this package
 * what only the application depends on.
 */
export function locatePackage(name: string, from: readonly string[] = searchPlaces()): string | null {
  for (const place of from) {
    try {
      // Through `require`, which resolves without loading; packages here have one file for both module systems.
      return createRequire(place).resolve(name)
    } catch {
      // Not visible from there.
    }
  }
  return null
}

/**
 * Loads an optional package. Throws `ConfigurationError` (`MQ_PACKAGE_MISSING`): with the command that installs it, or with the
 * cause when it is there and does not load. `purpose` begins the sentence: `The broker redis`.
 */
export async function importPackage(name: string, purpose: string): Promise<Record<string, unknown>> {
  const file = locatePackage(name)
  if (file === null) {
    throw new ConfigurationError(
      `${purpose} needs the package ${name}, which is not installed: ${installCommand(name)}`,
      {
        code: ErrorCode.PACKAGE_MISSING,
      },
    )
  }
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>
  } catch (cause) {
    const why = String((cause as { message?: unknown } | null)?.message ?? cause)
    throw new ConfigurationError(
      `${purpose} needs the package ${name}, which is installed but does not load (${why}): ${installCommand(name)}`,
      { code: ErrorCode.PACKAGE_MISSING, cause },
    )
  }
}

function searchPlaces(): string[] {
  const places = [import.meta.url]
  const entry = process.argv[1]
  if (entry !== undefined) {
    places.push(pathToFileURL(entry).href)
    // Commands are started through links in `.bin`.
    if (existsSync(entry)) places.push(pathToFileURL(realpathSync(entry)).href)
  }
  places.push(pathToFileURL(join(process.cwd(), 'index.js')).href)
  return places
}

const LOCKFILES = { 'pnpm-lock.yaml': 'pnpm add', 'yarn.lock': 'yarn add', 'bun.lock': 'bun add' } as const

/** The command that installs a package with the package manager in use, as far as that shows. */
export function installCommand(
  name: string,
  env: NodeJS.ProcessEnv = process.env,
  cwd: string = process.cwd(),
): string {
  const agent = /^(pnpm|yarn|bun|npm)\//.exec(env['npm_config_user_agent'] ?? '')?.[1]
  if (agent !== undefined) return `${agent} ${agent === 'npm' ? 'install' : 'add'} ${name}`
  const lockfile = Object.entries(LOCKFILES).find(([file]) => existsSync(join(cwd, file)))
  return `${lockfile?.[1] ?? 'npm install'} ${name}`
}
