import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import path from 'node:path'

/** Locks and the state of `brokers up`. One per user; `MQ_BROKERS_STATE` names another. */
export function stateFolder(): string {
  const folder = process.env['MQ_BROKERS_STATE'] || path.join(tmpdir(), `mq-brokers-${userInfo().uid}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

/** Downloads that outlive a run: Kafka's jars and formatted data folders. */
export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache')
  const folder = path.join(base, 'mq-brokers')
  mkdirSync(folder, { recursive: true })
  return folder
}

export interface DataFolder {
  readonly path: string
  /** False when the caller named the folder: then it is never removed. */
  readonly temporary: boolean
  remove(): void
}

export function dataFolder(label: string, given: string | undefined): DataFolder {
  if (given !== undefined) {
    mkdirSync(given, { recursive: true })
    return { path: path.resolve(given), temporary: false, remove: () => undefined }
  }
  const folder = mkdtempSync(path.join(tmpdir(), `mq-${label}-`))
  return {
    path: folder,
    temporary: true,
    // A server killed a moment ago may still be writing its last file.
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  }
}
