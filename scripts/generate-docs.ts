/** Writes the generated blocks of every document anew. */
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { documents, readDocument } from './docs/documents.ts'
import { regenerate } from './docs/generators.ts'
import { blocksOf } from './docs/markdown.ts'
import { isMain, refuseArguments } from './lib/main.ts'
import { root } from './lib/workspace.ts'

/** What the document should be, or the same text where nothing in it is generated. */
export async function current(path: string, text: string): Promise<string> {
  if (blocksOf(text).length === 0) return text
  const settings = await resolveConfig(path)
  return format(await regenerate(text), { ...settings, filepath: path })
}

if (isMain(import.meta.url)) {
  refuseArguments('pnpm docs:generate')
  for (const path of documents()) {
    const text = readDocument(path)
    const next = await current(path, text)
    if (next === text) continue
    writeFileSync(path, next)
    console.log(`wrote ${relative(root, path)}`)
  }
}
