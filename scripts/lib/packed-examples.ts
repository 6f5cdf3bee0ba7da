import { spawn } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { whenClosed } from './ending.ts'
import { readManifest, workspacePackages, type WorkspacePackage } from './workspace.ts'

/** How an example's sources are run: a Node and the flags that it needs for TypeScript. */
export interface Runtime {
  readonly node: string
  readonly flags: readonly string[]
}

/** Stands for any lines, in what an example declares to print. */
const ANY_LINES = '…\n'

/** Longer than any of them takes, on a machine that is busy. */
const PATIENCE_MS = 120_000

/** The examples that declare what they print. */
export function declaredExamples(): WorkspacePackage[] {
  return workspacePackages().filter(({ folder }) => existsSync(join(folder, 'expected.txt')))
}

/** Everything that is not ours and that the examples import, in the versions that their own tests run with. */
export function foreignDependencies(examples: readonly WorkspacePackage[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { folder, manifest } of examples) {
    const names = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
    for (const name of names.filter((each) => !each.startsWith('@mq/')))
      found[name] = readManifest(join(folder, 'node_modules', name)).version
  }
  return found
}

/** Copies the sources into `project/examples`, and what lets them be type-checked there. */
export function copyExamples(examples: readonly WorkspacePackage[], project: string): void {
  for (const { folder, directory } of examples) {
    const target = join(project, 'examples', directory)
    cpSync(join(folder, 'src'), join(target, 'src'), { recursive: true })
    writeFileSync(join(target, 'package.json'), JSON.stringify({ name: directory, type: 'module' }))
  }
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: ['node'],
  }
  writeFileSync(join(project, 'examples/tsconfig.json'), JSON.stringify({ compilerOptions }))
  // Not published: an example that starts servers asks for it only then.
  writeFileSync(join(project, 'examples/brokers.d.ts'), `declare module '@mq/brokers'\n`)
}

/** Runs one in memory. Answers what is wrong with its output; `null`: nothing. */
export async function runPackedExample(
  { folder, directory }: WorkspacePackage,
  project: string,
  { node, flags }: Runtime,
): Promise<string | null> {
  const declared = readFileSync(join(folder, 'expected.txt'), 'utf8')
  const cwd = join(project, 'examples', directory)
  const child = spawn(node, [...flags, 'src/main.ts'], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', MESSAGE_BROKER: '', SEED: '', PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  const lastLine = declared.lastIndexOf('\n', declared.length - 2) + 1
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    // A server ends when it is told to: then it prints its last line.
    if (declared.includes(':PORT') && outputMatches(stdout, declared.slice(0, lastLine)))
      child.kill('SIGTERM')
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const code = await new Promise<number | null>((resolve) => whenClosed(child, resolve))
  if (code === 0 && stderr === '' && outputMatches(stdout, declared)) return null
  return `examples/${directory} from the tarballs, ${node}: exit code ${code}\n${stdout}${stderr}`
}

/** Whether it printed what it declares, whichever port it got. */
export function outputMatches(output: string, declared: string): boolean {
  const pattern = declared
    .split(ANY_LINES)
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(':PORT', ':\\d+'))
    .join('(?:.*\n)*')
  return new RegExp(`^${pattern}$`).test(output)
}
