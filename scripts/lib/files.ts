import { readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** Folders that hold what tools made, not what people wrote. */
const made = new Set(['node_modules', 'dist', '.git', '.turbo', 'coverage', 'results', 'out', 'site'])

/** Every file that people wrote, relative to `base`, with forward slashes, sorted. */
export function projectFiles(base: string): string[] {
  const found: string[] = []
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (made.has(entry.name)) continue
      const path = join(folder, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) found.push(relative(base, path).split(sep).join('/'))
    }
  }
  walk(base)
  return found.sort()
}
