import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Bench } from './benches.ts'
import { quantile } from './compare.ts'
import type { Footprint } from './footprint.ts'
import type { Side } from './side.ts'

const run = promisify(execFile)
const here = fileURLToPath(new URL('..', import.meta.url))
const child = fileURLToPath(new URL('./child.ts', import.meta.url))

async function ask<T>(args: readonly string[]): Promise<T> {
  const node = [...process.execArgv.filter((each) => each !== '--expose-gc'), '--expose-gc', child, ...args]
  const { stdout } = await run(process.execPath, node, { cwd: here, maxBuffer: 2 ** 26 })
  return JSON.parse(stdout.slice(stdout.lastIndexOf('{'))) as T
}

/** W5 of the reference and of this library. */
export async function footprints(
  bench: string,
  url: string,
  sides: readonly Side[],
  [some, many]: readonly [number, number],
  progress: (text: string) => void,
): Promise<Footprint[]> {
  const rows: Footprint[] = []
  for (const { name } of sides.slice(0, 2)) {
    progress(`W5 memory, ${name}`)
    rows.push(await ask(['footprint', bench, url, name, String(some), String(many)]))
  }
  return rows
}

/** W7: importing a package in a fresh process. Medians. */
export interface Import {
  readonly name: string
  readonly ms: number
  readonly mib: number
}

/** W7: of a process that has imported everything, ms to a connection with a queue, then to the first message handled. */
export interface Start {
  readonly name: string
  readonly connect: number
  readonly first: number
}

const IMPORT = `
  const before = process.memoryUsage.rss()
  const startedAt = performance.now()
  await import(process.argv[1])
  const ms = performance.now() - startedAt
  console.log(JSON.stringify({ ms, mib: (process.memoryUsage.rss() - before) / 2 ** 20 }))
  process.exit(0)`

/** Imports what users import, not the sources, so the packages have to be built. */
export async function imports(
  bench: Bench,
  rounds: number,
  progress: (text: string) => void,
): Promise<Import[]> {
  const rows: Import[] = []
  for (const name of bench.imports) {
    progress(`W7 import ${name}`)
    const results: { ms: number; mib: number }[] = []
    for (let round = 0; round < rounds; round++) {
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', IMPORT, name], {
        cwd: here,
      })
      results.push(JSON.parse(stdout) as { ms: number; mib: number })
    }
    const median = (of: 'ms' | 'mib'): number =>
      quantile(
        results.map((each) => each[of]),
        0.5,
      )
    rows.push({ name, ms: median('ms'), mib: median('mib') })
  }
  return rows
}

/** Whether there is something to import; what others publish always is. */
export function isBuilt(name: string): boolean {
  if (!name.startsWith('@mq/')) return true
  const folder = new URL(`../node_modules/${name}/`, import.meta.url)
  const { exports } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as {
    exports: Record<string, { default?: string } | undefined>
  }
  const entry = exports['.']?.default
  return entry !== undefined && existsSync(new URL(entry, folder))
}

export async function starts(
  bench: string,
  url: string,
  sides: readonly Side[],
  rounds: number,
  progress: (text: string) => void,
): Promise<Start[]> {
  const rows: Start[] = []
  for (const { name, lacks } of sides) {
    if ((lacks ?? []).includes('W4')) continue
    progress(`W7 start, ${name}`)
    const results: Start[] = []
    for (let round = 0; round < rounds; round++) results.push(await ask(['start', bench, url, name]))
    const median = (of: 'connect' | 'first'): number =>
      quantile(
        results.map((each) => each[of]),
        0.5,
      )
    rows.push({ name, connect: median('connect'), first: median('first') })
  }
  return rows
}
