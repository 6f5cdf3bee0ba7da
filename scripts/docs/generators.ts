import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { publishedPackages, root } from '../lib/workspace.ts'
import { benchmarkTables } from './benchmark-tables.ts'
import { capabilitiesTable } from './capabilities-table.ts'
import { configurationTables, environmentTable } from './configuration-tables.ts'
import { handlerOptionsTable } from './handler-options-table.ts'
import { replaceBlocks, blocksOf } from './markdown.ts'

/** Name of a `<!-- generated:NAME -->` block → what belongs between its comments. */
const generators: Record<string, () => Promise<string> | string> = {
  packages: packagesTable,
  capabilities: capabilitiesTable,
  configuration: configurationTables,
  environment: environmentTable,
  'handler-options': handlerOptionsTable,
  benchmarks: () => benchmarkTables(),
  quickstart: () => fenced('ts', 'examples/quickstart/src/main.ts'),
  'quickstart-output': () => fenced('text', 'examples/quickstart/expected.txt'),
  'jest-settings': () => fenced('json', 'scripts/smoke/jest.json'),
  'custom-adapter': () => fenced('ts file=adapter.ts', 'examples/custom-adapter/src/adapter.ts'),
  // Beside the fence `adapter.ts` of the same document.
  'custom-adapter-test': () =>
    fenced('ts', 'examples/custom-adapter/test/conformance.test.ts').replace('../src/', './'),
}

/** A file that a test runs or compares with, shown in full. */
function fenced(language: string, path: string): string {
  return `\`\`\`${language}\n${readFileSync(join(root, path), 'utf8').trimEnd()}\n\`\`\``
}

function packagesTable(): string {
  const rows = publishedPackages().map(
    ({ manifest, directory }) =>
      `| [\`${manifest.name}\`](packages/${directory}/README.md) | ${manifest.description ?? ''} |`,
  )
  return ['| package | what |', '| --- | --- |', ...rows].join('\n')
}

/** The document with every generated block made again; rejects for a block that nothing generates. */
export async function regenerate(text: string): Promise<string> {
  const made = new Map<string, string>()
  for (const { name, line } of blocksOf(text)) {
    const generate = generators[name]
    if (!generate) {
      throw new Error(
        `line ${line}: nothing generates "${name}"; known: ${Object.keys(generators).join(', ')}`,
      )
    }
    if (!made.has(name)) made.set(name, await generate())
  }
  return replaceBlocks(text, (name) => made.get(name) ?? '')
}
