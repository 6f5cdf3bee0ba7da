/**
 * Each package has a version of its own. This runs `changeset version` on scratch copies of the workspace and
 * looks at what moved: a minor or a patch moves its package alone, a major moves what it puts out of range.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { inTemporaryFolder } from './lib/ending.ts'
import { isMain, report } from './lib/main.ts'
import { mustRun } from './lib/run.ts'
import { publishedPackages, root, workspacePackages, type WorkspacePackage } from './lib/workspace.ts'

type Bump = 'major' | 'minor' | 'patch'
type Versions = Map<string, string>

const config = '.changeset/config.json'

function copy(path: string, scratch: string): void {
  const source = join(root, path)
  if (!existsSync(source)) return
  mkdirSync(dirname(join(scratch, path)), { recursive: true })
  cpSync(source, join(scratch, path))
}

/** Works in a copy of what releases look at: manifests, change logs and the configuration. */
function inScratchCopy<T>(work: (scratch: string) => Promise<T>): Promise<T> {
  return inTemporaryFolder('mq-release-', (scratch) => {
    copyTo(scratch)
    return work(scratch)
  })
}

function copyTo(scratch: string): void {
  for (const path of ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', config]) copy(path, scratch)
  for (const { folder } of workspacePackages()) {
    copy(join(relative(root, folder), 'package.json'), scratch)
    copy(join(relative(root, folder), 'CHANGELOG.md'), scratch)
  }
  // The change log generator is looked up from the configuration's folder.
  symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'))
}

function versions(packages: readonly WorkspacePackage[]): Versions {
  return new Map(packages.map(({ manifest }) => [manifest.name, manifest.version]))
}

async function version(scratch: string): Promise<void> {
  const git = (...args: string[]): Promise<string> =>
    mustRun('git', ['-c', 'user.name=release', '-c', 'user.email=release@localhost', ...args], {
      cwd: scratch,
    })
  await git('init', '--quiet', '--initial-branch=main')
  writeFileSync(join(scratch, '.gitignore'), 'node_modules\n')
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'scratch')
  await mustRun(process.execPath, [join(root, 'node_modules/@changesets/cli/bin.js'), 'version'], {
    cwd: scratch,
  })
}

/** Package name → new version, for what one changeset moved. Private packages are looked at too. */
function moved(name: string, bump: Bump): Promise<Versions> {
  return inScratchCopy(async (scratch) => {
    writeFileSync(join(scratch, '.changeset/one.md'), `---\n'${name}': ${bump}\n---\n\nA change.\n`)
    await version(scratch)
    const before = versions(workspacePackages())
    return new Map(
      [...versions(workspacePackages(scratch))].filter(([key, value]) => before.get(key) !== value),
    )
  })
}

export function nextVersion(current: string, bump: Bump): string {
  const [major = 0, minor = 0, patch = 0] = current.split('.').map(Number)
  if (bump === 'major') return `${major + 1}.0.0`
  return bump === 'minor' ? `${major}.${minor + 1}.0` : `${major}.${minor}.${patch + 1}`
}

function differences(what: string, got: Versions, expected: Versions): string[] {
  const names = new Set([...got.keys(), ...expected.keys()])
  return [...names]
    .filter((name) => got.get(name) !== expected.get(name))
    .map((name) => `${what}: ${name} → ${got.get(name) ?? 'unmoved'}, not ${expected.get(name) ?? 'unmoved'}`)
}

/** A major takes with it, as a major, whoever states the package as a peer and, as a patch, whoever depends on it. */
function expectedMoves(packages: readonly WorkspacePackage[], name: string, bump: Bump): Versions {
  const expected: Versions = new Map()
  for (const { manifest } of packages) {
    if (manifest.name === name) expected.set(name, nextVersion(manifest.version, bump))
    else if (bump !== 'major') continue
    else if (manifest.peerDependencies?.[name]) {
      expected.set(manifest.name, nextVersion(manifest.version, 'major'))
    } else if (manifest.dependencies?.[name]) {
      expected.set(manifest.name, nextVersion(manifest.version, 'patch'))
    }
  }
  return expected
}

/** The changesets that wait for a release must at least be ones that `changeset version` accepts. */
async function waiting(): Promise<string[]> {
  const files = readdirSync(join(root, '.changeset')).filter((file) => /(?<!README)\.md$/.test(file))
  if (files.length === 0) return []
  try {
    await inScratchCopy((scratch) => {
      for (const file of files) copy(join('.changeset', file), scratch)
      return version(scratch)
    })
    return []
  } catch (error) {
    return [`.changeset: ${error instanceof Error ? error.message : String(error)}`]
  }
}

export async function checkReleases(): Promise<string[]> {
  const packages = publishedPackages()
  const cases = packages.flatMap(({ manifest }): [string, Bump][] => [
    [manifest.name, 'minor'],
    [manifest.name, 'patch'],
  ])
  cases.push(['@mq/core', 'major'])
  const problems = await waiting()
  for (const [name, bump] of cases) {
    const got = await moved(name, bump)
    problems.push(...differences(`a ${bump} of ${name}`, got, expectedMoves(packages, name, bump)))
  }
  return problems
}

if (isMain(import.meta.url)) report('releases', await checkReleases())
