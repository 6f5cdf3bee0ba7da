import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectFiles } from '../lib/files.ts'
import { root } from '../lib/workspace.ts'

/** Absolute paths of every document for people; change logs are written by a tool. */
export function documents(base: string = root): string[] {
  return projectFiles(base)
    .filter(
      (path) => path.endsWith('.md') && !path.endsWith('CHANGELOG.md') && !path.startsWith('.changeset/'),
    )
    .map((path) => join(base, path))
}

export function readDocument(path: string): string {
  return readFileSync(path, 'utf8')
}
