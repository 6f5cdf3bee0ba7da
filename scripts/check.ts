/**
 * Everything about the code that is no test. `pnpm check` runs all steps, `pnpm check lint docs` those.
 * Two steps run at a time; a failed step shows its output at the end.
 */
import { join } from 'node:path'
import { build } from './build.ts'
import { refuse } from './lib/main.ts'
import { run } from './lib/run.ts'
import { duration, tallyLine } from './lib/tally.ts'
import { root } from './lib/workspace.ts'

interface Outcome {
  ok: boolean
  output: string
}

const bin =
  (name: string, ...args: string[]) =>
  async (): Promise<Outcome> => {
    const { code, output } = await run(join(root, 'node_modules/.bin', name), args, { cwd: root })
    return { ok: code === 0, output }
  }

const script = (name: string) => async (): Promise<Outcome> => {
  const args = ['--conditions=@mq/source', '--import', 'tsx', `scripts/${name}.ts`]
  const { code, output } = await run(process.execPath, args, { cwd: root })
  return { ok: code === 0, output }
}

/** The packages are checked as they are packed, so they are built in the same step. */
async function packages(): Promise<Outcome> {
  const built = await build(false)
  return built.code === 0 ? script('check-packages')() : { ok: false, output: built.output }
}

/** In the order in which they start: the longest first. */
const steps: Record<string, () => Promise<Outcome>> = {
  packages,
  lint: bin('eslint', '--max-warnings', '0', '.'),
  types: bin('tsc', '-p', 'tsconfig.json'),
  docs: script('check-docs'),
  site: script('build-docs'),
  unused: bin('knip', '--no-config-hints'),
  format: bin('prettier', '--check', '--log-level', 'warn', '.'),
  releases: script('check-releases'),
  markers: script('check-markers'),
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(steps, name))
if (unknown.length > 0) refuse(`unknown step ${unknown.join(', ')}; steps: ${Object.keys(steps).join(', ')}`)

const waiting = Object.entries(steps).filter(([name]) => wanted.length === 0 || wanted.includes(name))
const total = waiting.length
const failures: { name: string; output: string }[] = []

async function worker(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const [name, step] = next
    const started = performance.now()
    const { ok, output } = await step()
    console.log(`${ok ? '✓' : '✗'} ${name.padEnd(10)} ${duration(performance.now() - started)}`)
    if (!ok) failures.push({ name, output })
  }
}

const started = performance.now()
await Promise.all([worker(), worker()])
for (const { name, output } of failures) console.error(`\n── ${name} ──\n${output.trimEnd()}`)
console.log(`\ncheck took ${duration(performance.now() - started)}`)
console.log(tallyLine(total - failures.length, failures.length))
process.exitCode = failures.length > 0 ? 1 : 0
