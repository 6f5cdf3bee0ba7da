import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

export interface Manifest {
  name: string
  version: string
  private?: boolean
  description?: string
  license?: string
  exports?: Record<string, string | Record<string, string>>
  engines?: Record<string, string>
  files?: string[]
  packageManager?: string
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}

export interface WorkspacePackage {
  /** Absolute path. */
  folder: string
  /** The folder's own name: `core`, `redis`, … */
  directory: string
  manifest: Manifest
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

/** Every workspace package below `base`, by folder name. A folder without a manifest is not one. */
export function workspacePackages(base: string = root): WorkspacePackage[] {
  return ['packages', 'examples'].flatMap((group) =>
    readdirSync(join(base, group))
      .sort()
      .map((directory) => ({ directory, folder: join(base, group, directory) }))
      .filter(({ folder }) => existsSync(join(folder, 'package.json')))
      .map((found) => ({ ...found, manifest: readManifest(found.folder) })),
  )
}

/** The packages that users install. */
export function publishedPackages(base: string = root): WorkspacePackage[] {
  return workspacePackages(base).filter(({ manifest }) => !manifest.private)
}

/** Folder names of the broker adapters: the packages with a `src/adapter.ts`, `redis` for example. */
export function adapterNames(base: string = root): string[] {
  return publishedPackages(base)
    .filter(({ folder }) => existsSync(join(folder, 'src/adapter.ts')))
    .map(({ directory }) => directory)
}

/** Import specifier → source file of every entry point in the workspace: `@mq/core/adapter` → …/index.ts. */
export function sourceEntries(base: string = root): Map<string, string> {
  const entries = new Map<string, string>()
  for (const { manifest, folder } of workspacePackages(base)) {
    for (const [path, target] of Object.entries(manifest.exports ?? {})) {
      const source = typeof target === 'string' ? undefined : target['@mq/source']
      if (source) entries.set(join(manifest.name, path), join(folder, source))
    }
  }
  return entries
}
