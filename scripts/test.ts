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
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkResults, requiredBrokers } from './check-results.ts'
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

async function runSuite(suite: string): Promise<JestReport> {
  const folder = mkdtempSync(join(tmpdir(), 'mq-test-'))
  const file = join(folder, 'report.json')
  try {
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
    const report = JSON.parse(readFileSync(file, 'utf8')) as JestReport
    const explained = report.numFailedTests + report.numRuntimeErrorTestSuites
    // Jest can also fail for a reason that no test shows, an open handle or a crash for example.
    return code !== 0 && explained === 0 ? { ...report, numRuntimeErrorTestSuites: 1 } : report
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  if (!partial) {
    rmSync(join(root, 'results'), { recursive: true, force: true })
    await requireServers()
  }
  let passed = 0
  let failed = 0
  let unrun = 0
  for (const suite of suites) {
    const report = await runSuite(suite)
    passed += report.numPassedTests
    failed += report.numFailedTests + report.numRuntimeErrorTestSuites
    unrun += report.numPendingTests + report.numTodoTests
  }
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
