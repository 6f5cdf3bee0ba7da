/**
 * Runs the tests, then holds the conformance results against the suite's list.
 *
 *   pnpm test [jest arguments]    everything but the slow and the matrix suites
 *   pnpm test:all                 then the slow suites (*.slow.test.ts), one at a time: they need servers in numbers, and time
 *   pnpm test:matrix              only the suites against other server versions (*.matrix.test.ts)
 *
 * With Jest arguments (a path, -t …) it is a partial run: brokers are started as tests ask for them and results
 * are not held against the list.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkResults, requiredBrokers } from './check-results.ts'
import { inTemporaryFolder } from './lib/ending.ts'
import { refuse } from './lib/main.ts'
import { runJest } from './lib/run-jest.ts'
import { duration, tallyLine } from './lib/tally.ts'
import { adapterNames, root } from './lib/workspace.ts'

interface JestReport {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  numRuntimeErrorTestSuites: number
}

const started = performance.now()
const flags = new Set<string>(
  process.argv.slice(2).filter((argument) => argument === '--slow' || argument === '--matrix'),
)
const jestArguments = process.argv.slice(2).filter((argument) => !flags.has(argument) && argument !== '--')
const partial = jestArguments.length > 0
if (jestArguments.some((argument) => /^--watch(All)?(=true)?$/.test(argument)))
  refuse('pnpm test runs once; to watch: NODE_OPTIONS=--experimental-vm-modules npx jest --watchAll PATH')
const matrix = flags.has('--matrix')
/** The Debian release whose servers `test:matrix` runs against: Redis 8.0 and RabbitMQ 4.0. */
const otherDebian = 'trixie'
const suites = matrix ? ['matrix'] : flags.has('--slow') ? ['default', 'slow'] : ['default']

/** A missing server ends the run here, with one line for each and the command that helps. */
async function requireServers(): Promise<void> {
  const { requireBrokers } = await import('@mq/brokers')
  // Adapter folders carry the names of the servers that they need.
  const names = adapterNames() as Parameters<typeof requireBrokers>[0]
  if (!matrix) return requireBrokers(names)
  // Kafka's other versions are jars of Maven Central, not packages of a release.
  const fromDebian = names.filter((name) => name !== 'kafka')
  await requireBrokers(fromDebian, { debian: otherDebian })
}

/** `null`: Jest answered something, such as its options, and ran nothing. */
function runSuite(suite: string): Promise<JestReport | null> {
  return inTemporaryFolder('mq-test-', async (folder) => {
    const file = join(folder, 'report.json')
    const { code, left } = await runJest(
      [
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        join(root, 'node_modules/jest/bin/jest.js'),
        '--json',
        `--outputFile=${file}`,
        // What a path names may be in one suite alone.
        ...(matrix || (partial && suites.length > 1) ? ['--passWithNoTests'] : []),
        ...(suite === 'slow' ? ['--maxWorkers=1'] : []),
        ...jestArguments,
      ],
      { cwd: root, env: { MQ_SUITES: suite }, report: file },
    )
    if (left !== null)
      console.error(['a test left this open, and Jest could not exit:', ...left].join('\n  '))
    if (!existsSync(file)) {
      if (code === 0) return null
      throw new Error(`Jest ended with exit code ${code} and ran no test; what it says is above`)
    }
    const report = JSON.parse(readFileSync(file, 'utf8')) as JestReport | string[]
    if (Array.isArray(report)) {
      // Of --listTests.
      console.log(report.join('\n'))
      return null
    }
    const explained = report.numFailedTests + report.numRuntimeErrorTestSuites
    // Jest can also fail for a reason that no test shows, an open handle or a crash for example.
    return code !== 0 && explained === 0 ? { ...report, numRuntimeErrorTestSuites: 1 } : report
  })
}

try {
  if (!partial) {
    rmSync(join(root, 'results'), { recursive: true, force: true })
    await requireServers()
  }
  let passed = 0
  let failed = 0
  let unrun = 0
  let answered = false
  for (const suite of suites) {
    const report = await runSuite(suite)
    if (report === null) {
      answered = true
      continue
    }
    passed += report.numPassedTests
    failed += report.numFailedTests + report.numRuntimeErrorTestSuites
    unrun += report.numPendingTests + report.numTodoTests
  }
  if (answered) process.exit(0)
  const problems = partial ? [] : await checkResults(matrix ? [] : requiredBrokers())
  for (const problem of problems) console.error(problem)
  if (unrun > 0) console.log(`${unrun} not run (pending)`)
  failed += problems.length
  if (partial && passed + failed === 0) throw new Error(`no test matches ${jestArguments.join(' ')}`)
  console.log(`tests took ${duration(performance.now() - started)}`)
  console.log(tallyLine(passed, failed))
  process.exitCode = failed > 0 ? 1 : 0
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.log(tallyLine(0, 1))
  process.exitCode = 1
}
