/** Documents fail the build when they are wrong: fences compile, links resolve, generated blocks are current. */
import { resolve } from 'node:path'
import { documents, readDocument } from './docs/documents.ts'
import { fenceProblems } from './docs/fences.ts'
import { linkProblems } from './docs/links.ts'
import { fencesOf } from './docs/markdown.ts'
import { current } from './generate-docs.ts'
import { isMain, report } from './lib/main.ts'
import { root } from './lib/workspace.ts'

async function staleness(path: string): Promise<string[]> {
  const text = readDocument(path)
  try {
    return (await current(path, text)) === text
      ? []
      : [`${path}: generated blocks are stale; run pnpm docs:generate`]
  } catch (error) {
    return [`${path}: ${(error as Error).message}`]
  }
}

/** @param only paths of documents to look at, from the root; all of them when empty */
export async function checkDocs(only: readonly string[] = []): Promise<string[]> {
  const wanted = only.map((path) => resolve(root, path))
  const all = documents()
  const paths = all.filter((path) => wanted.length === 0 || wanted.includes(path))
  const fences = paths.flatMap((document) =>
    fencesOf(readDocument(document)).map((fence) => ({ ...fence, document })),
  )
  const problems = [
    ...wanted.filter((path) => !all.includes(path)).map((path) => `${path}: there is no such document`),
    ...fenceProblems(fences),
    ...paths.flatMap((path) => linkProblems(root, path)),
  ]
  for (const path of paths) problems.push(...(await staleness(path)))
  return problems.map((problem) => problem.replace(`${root}/`, ''))
}

if (isMain(import.meta.url)) report('documents', await checkDocs(process.argv.slice(2)))
