import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../lib/workspace.ts'

/** What `pnpm bench` measured last, broker by broker; it keeps its figures in the repository. */
export async function benchmarkTables(folder = join(root, 'packages/benchmarks/figures')): Promise<string> {
  const { render } = await import('../../packages/benchmarks/src/report.ts')
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : []
  if (files.length === 0) return 'Nothing has been measured yet: run `pnpm bench`.'
  return files
    .sort()
    .map((file) =>
      render(JSON.parse(readFileSync(join(folder, file), 'utf8')) as Parameters<typeof render>[0], 3),
    )
    .join('\n\n')
}
