import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { codeOf } from './errors.ts'

/**
 * Half of a download must never look like all of it: `work` fills a folder beside the target, which is renamed when it is complete.
 * Locks are kept in another place, so two may be at it: the first one's work stays. The folder's parent is for temporary files.
 */
export async function intoPlace(target: string, work: (folder: string) => Promise<void>): Promise<void> {
  const aside = mkdtempSync(`${target}.new-`)
  const folder = path.join(aside, path.basename(target))
  try {
    mkdirSync(folder)
    await work(folder)
    renameSync(folder, target)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}
