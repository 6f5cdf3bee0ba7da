import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'

/** The program's full path, looked for in `before`, on the PATH, and in `after`. */
export function findBinary(
  name: string,
  after: readonly string[] = [],
  before: readonly string[] = [],
): string | undefined {
  const places = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '')
  return [...before, ...places, ...after].map((folder) => path.join(folder, name)).find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
