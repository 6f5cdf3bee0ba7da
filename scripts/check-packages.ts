/**
 * Looks at the packages as users get them: packs each into a tarball, holds the tarballs against publint and
 * are-the-types-wrong, installs them into an empty project and runs the quick start and the examples there.
 * Needs a build (`pnpm build`) and, for the newest Node, the registry.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inTemporaryFolder } from './lib/ending.ts'
import { isMain, report } from './lib/main.ts'
import {
  copyExamples,
  declaredExamples,
  foreignDependencies,
  runPackedExample,
  type Runtime,
} from './lib/packed-examples.ts'
import { mustRun, run } from './lib/run.ts'
import { publishedPackages, readManifest, root, type WorkspacePackage } from './lib/workspace.ts'

interface Packed extends WorkspacePackage {
  tarball: string
}

const bin = (name: string): string => join(root, 'node_modules/.bin', name)

/** What a package must carry before it may be packed. */
export function metadataProblems({ manifest, folder }: WorkspacePackage, license: string): string[] {
  const problems: string[] = []
  const read = (file: string): string =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : ''
  if (!read('README.md').startsWith(`# ${manifest.name}`))
    problems.push(`README.md must open with "# ${manifest.name}"`)
  if (read('LICENSE') !== license) problems.push('LICENSE must equal the one of the repository')
  if (!read('CHANGELOG.md').includes(`\n## ${manifest.version}\n`)) {
    problems.push(`CHANGELOG.md has no entry "## ${manifest.version}"`)
  }
  if (!manifest.description) problems.push('package.json has no description')
  if (manifest.license !== 'MIT') problems.push('package.json: license must be MIT')
  if (!manifest.engines?.['node']) problems.push('package.json: engines.node is missing')
  if (manifest.dependencies?.['@mq/core'])
    problems.push('@mq/core must be a peer: two copies break brand checks')
  return problems.map((problem) => `${manifest.name}: ${problem}`)
}

/** pnpm itself when a script of it runs this, else the pinned version. */
function pnpm(): [string, string[]] {
  const running = process.env['npm_execpath']
  if (running && /pnpm[^/\\]*$/.test(running)) {
    return /\.[cm]?js$/.test(running) ? [process.execPath, [running]] : [running, []]
  }
  return ['npx', ['-y', readManifest(root).packageManager ?? 'pnpm']]
}

async function pack(published: WorkspacePackage, destination: string): Promise<Packed> {
  const [command, args] = pnpm()
  const folder = join(destination, published.directory)
  mkdirSync(folder)
  await mustRun(command, [...args, 'pack', '--pack-destination', folder], { cwd: published.folder })
  const name = readdirSync(folder).find((file) => file.endsWith('.tgz'))
  if (!name) throw new Error(`${published.manifest.name}: pnpm pack made no tarball`)
  return { ...published, tarball: join(folder, name) }
}

async function lintTarball({ manifest, tarball }: Packed): Promise<string[]> {
  const [publint, attw] = await Promise.all([
    run(bin('publint'), ['--strict', tarball]),
    // ESM alone is published; `require()` of it works from Node 20.19 on.
    run(bin('attw'), ['--profile', 'esm-only', '--format', 'ascii', '--no-emoji', tarball]),
  ])
  return [
    ...(publint.code === 0 ? [] : [`${manifest.name}: publint\n${publint.output}`]),
    ...(attw.code === 0 ? [] : [`${manifest.name}: are-the-types-wrong\n${attw.output}`]),
  ]
}

/** Every import specifier that the packed packages answer to, their package.json apart. */
function specifiers(packed: readonly Packed[]): string[] {
  return packed.flatMap(({ manifest }) =>
    Object.keys(manifest.exports ?? {})
      .filter((path) => !path.endsWith('.json'))
      .map((path) => join(manifest.name, path)),
  )
}

const tools = ['@types/node', 'tsx', 'typescript', 'jest', 'ts-jest', '@jest/globals']

function writeProject(project: string, packed: readonly Packed[]): void {
  const own = readManifest(root).devDependencies ?? {}
  const manifest = {
    name: 'smoke',
    private: true,
    dependencies: {
      ...foreignDependencies(declaredExamples()),
      ...Object.fromEntries(packed.map((one) => [one.manifest.name, `file:${one.tarball}`])),
    },
    devDependencies: {
      ...Object.fromEntries(tools.map((name) => [name, own[name]])),
      node: 'latest',
    },
    // The settings that docs/testing.md shows.
    ...(JSON.parse(readFileSync(join(root, 'scripts/smoke/jest.json'), 'utf8')) as object),
  }
  const tsconfig = {
    compilerOptions: {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      declaration: true,
      skipLibCheck: false,
      // What TypeScript takes by itself since 6.0: the packages have to name the types that they need.
      types: [],
    },
    files: ['quickstart.mts', 'quickstart.cts', 'strict.mts', 'types.mts'],
  }
  const names = specifiers(packed)
  const list = JSON.stringify(names)
  writeFileSync(join(project, 'package.json'), JSON.stringify(manifest))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(tsconfig))
  writeFileSync(join(project, 'load.mjs'), `for (const name of ${list}) await import(name)\n`)
  writeFileSync(join(project, 'load.cjs'), `for (const name of ${list}) require(name)\n`)
  const types = names.map((name, index) => `import * as entry${index} from '${name}'\nvoid entry${index}\n`)
  writeFileSync(join(project, 'types.mts'), types.join(''))
  for (const file of ['quickstart.mts', 'quickstart.cts', 'strict.mts', 'order.test.ts']) {
    copyFileSync(join(root, 'scripts/smoke', file), join(project, file))
  }
}

/** Installs the tarballs into an empty project; runs, requires and type-checks there. */
async function smoke(packed: readonly Packed[], project: string): Promise<string[]> {
  mkdirSync(project)
  writeProject(project, packed)
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  await mustRun('npm', install, { cwd: project })
  const problems: string[] = []
  const step = async (command: string, args: string[], says = ''): Promise<void> => {
    const { code, output } = await run(command, args, { cwd: project, env: { NODE_OPTIONS: '' } })
    if (code !== 0 || !output.includes(says)) problems.push(`smoke: ${command} ${args.join(' ')}\n${output}`)
    else if (says) console.log(output.trim())
  }
  await step(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'])
  await step('npm', ['test', '--', 'order.test.ts'])
  const newest = join(project, 'node_modules/node/bin/node')
  for (const node of new Set([process.execPath, newest])) {
    await step(node, ['load.mjs'])
    await step(node, ['load.cjs'])
    await step(node, ['quickstart.mjs'], 'Hello, World!')
    await step(node, ['quickstart.cjs'], 'Hello, World!')
  }
  return [...problems, ...(await smokeExamples(project, newest))]
}

/** Type-checks the examples against the packed declarations; runs them with a loader here, and as they are in the newest Node. */
async function smokeExamples(project: string, newest: string): Promise<string[]> {
  const examples = declaredExamples()
  copyExamples(examples, project)
  const tsc = [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'examples/tsconfig.json']
  const { code, output } = await run(process.execPath, tsc, { cwd: project })
  const problems = code === 0 ? [] : [`smoke: the types of the examples\n${output}`]
  const runtimes: Runtime[] = [
    { node: process.execPath, flags: ['--import', 'tsx'] },
    { node: newest, flags: [] },
  ]
  for (const runtime of runtimes) {
    for (const example of examples) {
      const problem = await runPackedExample(example, project, runtime)
      if (problem !== null) problems.push(problem)
    }
    console.log(`${examples.length} examples: ${runtime.node} ${runtime.flags.join(' ')}`)
  }
  return problems
}

export async function checkPackages(): Promise<string[]> {
  const license = readFileSync(join(root, 'LICENSE'), 'utf8')
  const published = publishedPackages()
  const problems = published.flatMap((one) => metadataProblems(one, license))
  await inTemporaryFolder('mq-pack-', async (destination) => {
    const packed: Packed[] = []
    for (const one of published) packed.push(await pack(one, destination))
    for (const one of packed) problems.push(...(await lintTarball(one)))
    problems.push(...(await smoke(packed, join(destination, 'project'))))
  })
  return problems
}

if (isMain(import.meta.url)) report('packages', await checkPackages())
