import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Summary } from '../src/summary.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

export interface Ended {
  /** `null`: it was ended by a signal. */
  code: number | null
  stdout: string
  stderr: string
  /** `null` when the run did not get so far. */
  summary: Summary | null
  chart: string | null
}

/** Runs the program as a user does, with its output in a folder of its own. `onOutput` sees what was printed so far. */
export async function runExample(
  env: Record<string, string> = {},
  onOutput: (stdout: string, child: ChildProcess) => void = () => undefined,
): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), 'mq-anomalies-'))
  try {
    const child = spawn(process.execPath, ['--conditions=@mq/source', '--import', 'tsx', main], {
      env: { ...process.env, SEED: '', MESSAGE_BROKER: '', OUT_DIR: folder, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => onOutput((stdout += chunk.toString()), child))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    const summary = read(join(folder, 'summary.json'))
    const chart = read(join(folder, 'anomalies.svg'))
    return {
      code,
      stdout,
      stderr,
      summary: summary === null ? null : (JSON.parse(summary) as Summary),
      chart,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** The summary as it was printed. */
export function printedSummary({ stdout }: Ended): string {
  return /^Summary\n[\s\S]*?\n\n/m.exec(stdout)?.[0] ?? ''
}

/** The ids that the program announced, before it sent anything, as those that it spoils. */
export function announcedIds({ stdout }: Ended): string[] {
  const block = /rows will be corrupted.*\n((?: {2}.+\n)+)/.exec(stdout)?.[1] ?? ''
  return block.match(/[a-z-]+-\d{4}-\d{2}-\d{2}/g) ?? []
}

/** Where a server that the program started for itself listens. */
export function startedPort(stdout: string): number | null {
  const port = /started at \S+?:(\d+)/.exec(stdout)?.[1]
  return port === undefined ? null : Number(port)
}
