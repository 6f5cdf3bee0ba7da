/**
 * The documentation as one static site: the API of every published package from its docstrings, the documents beside it, and a search
 * over both. `pnpm run docs [FOLDER]` writes it, to `site/` by default; opening `site/index.html` needs no server and no network.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Application, Converter, ReflectionKind, type Context, type TypeDocOptions } from 'typedoc'
import { isMain, refuse } from './lib/main.ts'
import { publishedPackages, root, sourceEntries } from './lib/workspace.ts'

const site = join(root, 'site')

/** Builds the site. Rejects when anything is wrong with it: a link to nothing, a name that cannot be resolved. */
async function buildDocs(out: string): Promise<string> {
  const published = publishedPackages().map(({ manifest }) => manifest.name)
  const entries = [...sourceEntries()].filter(([specifier]) =>
    published.some((name) => `${specifier}/`.startsWith(`${name}/`)),
  )
  const options: TypeDocOptions = {
    name: '@mq',
    entryPoints: entries.map(([, file]) => file),
    tsconfig: join(root, 'tsconfig.json'),
    basePath: root,
    readme: join(root, 'README.md'),
    projectDocuments: [
      'docs/*.md',
      ...publishedPackages().map(({ directory }) => `packages/${directory}/README.md`),
      'CONTRIBUTING.md',
    ],
    out,
    excludeInternal: true,
    excludePrivate: true,
    disableSources: true,
    // Types are checked by a step of their own.
    skipErrorChecking: true,
    // The site is the same wherever and whenever it is built.
    githubPages: false,
    hideGenerator: true,
    searchInComments: true,
    searchInDocuments: true,
    navigation: { includeGroups: false, includeCategories: false, includeFolders: false },
    treatWarningsAsErrors: true,
    logLevel: 'Warn',
  }
  const app = await Application.bootstrapWithPlugins(options)
  const specifiers = new Map(entries.map(([specifier, file]) => [file, specifier]))
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => nameAll(context, specifiers))
  const project = await app.convert()
  if (project === undefined || app.logger.hasErrors() || app.logger.hasWarnings())
    throw new Error('the documentation has problems; see above')
  await app.generateOutputs(project)
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('the site has problems; see above')
  return out
}

/** Modules are called by what a program imports, documents by their heading: `@mq/redis` and `About @mq/redis`. */
function nameAll({ project }: Context, specifiers: ReadonlyMap<string, string>): void {
  const modules = ReflectionKind.Module | ReflectionKind.Document
  for (const reflection of project.getReflectionsByKind(modules)) {
    const file = project.files.getReflectionPath(reflection)
    if (file === undefined) continue
    reflection.name =
      (reflection.kindOf(ReflectionKind.Document) ? headingOf(file) : specifiers.get(file)) ?? reflection.name
  }
}

function headingOf(file: string): string | undefined {
  const heading = /^# (.+)$/m.exec(readFileSync(file, 'utf8'))?.[1]?.replaceAll('`', '')
  return heading?.startsWith('@') ? `About ${heading}` : heading
}

/** Why the site must not be written there, or `null`: what is in the folder is deleted first. */
function folderProblem(folder: string): string | null {
  if (!existsSync(folder) || existsSync(join(folder, 'assets/navigation.js'))) return null
  const isEmpty = statSync(folder).isDirectory() && readdirSync(folder).length === 0
  return isEmpty ? null : `${folder} is no site, and would be deleted: name a new folder`
}

if (isMain(import.meta.url)) {
  const [folder, ...more] = process.argv.slice(2)
  if (folder?.startsWith('-') || more.length > 0) refuse('usage: pnpm run docs [FOLDER]')
  const problem = folder === undefined ? null : folderProblem(folder)
  if (problem !== null) refuse(problem)
  const out = await buildDocs(folder ?? site)
  console.log(`documentation: ${relative(process.cwd(), join(out, 'index.html'))}`)
}
