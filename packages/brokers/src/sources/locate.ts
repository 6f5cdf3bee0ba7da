import { debianRoot } from '../debian-root.ts'
import { brokerError, messageOf } from '../errors.ts'
import { allSources, type Source } from '../types.ts'
import { canInstallPackages, installPackages } from './debian.ts'
import { dockerProgram } from './docker.ts'
import { findBinary } from './find-binary.ts'

/** What a broker needs on this machine. */
export interface Requirement<Tool extends string = string> {
  /** The broker as users call it, e.g. `Redis`. */
  readonly label: string
  readonly tools: readonly Tool[]
  /** Places after the PATH where packages put the tools. */
  readonly folders: readonly string[]
  /** Places before the PATH: where a package puts wrappers on the PATH that serve its own service alone. */
  readonly foldersBefore?: readonly string[]
  readonly debianPackages: readonly string[]
  /** Absent where containers are not supported. */
  readonly dockerImage?: string
  /** The environment variable that names a server instead. */
  readonly variable?: string
}

export type Located<Tool extends string = string> =
  | { readonly kind: 'native'; readonly tools: Readonly<Record<Tool, string>> }
  | { readonly kind: 'docker'; readonly docker: string; readonly image: string }

/** Those asked for: `given`, else `MQ_BROKERS_SOURCES`, else all. Throws for a name that is none. */
export function sourcesFor(given: readonly Source[] | undefined): readonly Source[] {
  if (given) return given
  const text = process.env['MQ_BROKERS_SOURCES']
  if (!text) return allSources
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !(allSources as readonly string[]).includes(name))
  if (unknown === undefined) return names as Source[]
  throw brokerError(
    'BROKER_MISSING',
    `MQ_BROKERS_SOURCES has "${unknown}"; it takes ${allSources.join(', ')}`,
  )
}

/** For what has to run on this machine itself. */
export function withoutDocker(sources: readonly Source[]): readonly Source[] {
  return sources.filter((source) => source !== 'docker')
}

/**
 * Finds the tools, installing them when allowed. With `debian` (a release, e.g. `trixie`) they are that release's,
 * whatever the sources. Rejects with one line that says what helps.
 */
export async function locate<Tool extends string>(
  need: Requirement<Tool>,
  sources: readonly Source[],
  debian?: string,
): Promise<Located<Tool>> {
  if (debian !== undefined) return { kind: 'native', tools: await toolsOfRelease(need, debian) }
  if (sources.includes('path')) {
    const tools = findTools(need)
    if (tools) return { kind: 'native', tools }
  }
  let why = ''
  if (sources.includes('debian') && canInstallPackages()) {
    try {
      await installPackages(need.debianPackages, () => findTools(need) !== undefined)
      const tools = findTools(need)
      if (tools) return { kind: 'native', tools }
    } catch (error) {
      why = ` (apt-get failed: ${messageOf(error).split('\n').at(-1) ?? ''})`
    }
  }
  if (sources.includes('docker') && need.dockerImage !== undefined) {
    const docker = await dockerProgram()
    if (docker !== undefined) return { kind: 'docker', docker, image: need.dockerImage }
  }
  throw brokerError('BROKER_MISSING', `${need.label} is missing${why}: ${advice(need)}`)
}

/** Like `locate`, for what runs on this machine itself: `{ chromium: '/usr/bin/chromium' }`. */
export async function locateTools<Tool extends string>(
  need: Requirement<Tool>,
): Promise<Readonly<Record<Tool, string>>> {
  const located = await locate(need, withoutDocker(sourcesFor(undefined)))
  if (located.kind === 'native') return located.tools
  throw brokerError('BROKER_MISSING', `${need.label} is missing: ${advice(need)}`)
}

async function toolsOfRelease<Tool extends string>(
  need: Requirement<Tool>,
  release: string,
): Promise<Record<Tool, string>> {
  const root = await debianRoot(release, need.debianPackages)
  const folders = [...(need.foldersBefore ?? []), '/usr/bin', '/usr/sbin', ...need.folders]
  return Object.fromEntries(
    need.tools.map((tool) => {
      const file = root.tool(tool, folders)
      if (file === undefined)
        throw brokerError('BROKER_MISSING', `${need.label}: Debian ${release} has no ${tool}`)
      return [tool, file]
    }),
  ) as Record<Tool, string>
}

function findTools<Tool extends string>(need: Requirement<Tool>): Record<Tool, string> | undefined {
  const found: Partial<Record<Tool, string>> = {}
  for (const tool of need.tools) {
    const file = findBinary(tool, need.folders, need.foldersBefore)
    if (file === undefined) return undefined
    found[tool] = file
  }
  return found as Record<Tool, string>
}

function advice(need: Requirement): string {
  const ways = [`run "sudo apt-get install ${need.debianPackages.join(' ')}"`]
  if (need.dockerImage !== undefined) ways.push('start Docker')
  if (need.variable !== undefined) ways.push(`set ${need.variable}`)
  return ways.length === 1 ? ways.join('') : `${ways.slice(0, -1).join(', ')} or ${ways.at(-1) ?? ''}`
}
