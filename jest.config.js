import { availableParallelism } from 'node:os'

/**
 * One configuration for every package: tests import the sources, nothing is built first.
 *
 * `MQ_SUITES` picks what runs, as a comma-separated list: `default` (*.test.ts), `slow` (*.slow.test.ts) and
 * `matrix` (*.matrix.test.ts). Unset, a path given to Jest is enough: every suite is visible.
 */
const suites = process.env.MQ_SUITES?.split(',')
const hidden = ['slow', 'matrix'].filter((suite) => suites && !suites.includes(suite))
const onlyNamed = suites && !suites.includes('default')

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  // Without 'import': Jest's own require() of its dependencies would then resolve to .mjs files.
  testEnvironmentOptions: { customExportConditions: ['@mq/source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  // Types are checked by `pnpm check`; here they are only stripped.
  transform: {
    '^.+\\.ts$': ['ts-jest', { useESM: true, tsconfig: '<rootDir>/tsconfig.jest.json', diagnostics: false }],
  },
  testMatch: ['packages/*/test', 'examples/*/test', 'scripts/test'].flatMap((folder) =>
    onlyNamed
      ? suites.map((suite) => `<rootDir>/${folder}/**/*.${suite}.test.ts`)
      : [`<rootDir>/${folder}/**/*.test.ts`],
  ),
  testPathIgnorePatterns: ['/node_modules/', ...hidden.map((suite) => `\\.${suite}\\.test\\.ts$`)],
  modulePathIgnorePatterns: ['<rootDir>/(packages|examples)/[^/]+/dist/'],
  // Real servers share the machine with the tests, so a few workers are enough.
  maxWorkers: Math.max(1, Math.min(4, availableParallelism())),
  // What a test file imported stays in its worker's memory: with a gigabyte of that all else takes several times as long.
  workerIdleMemoryLimit: '500MB',
  testTimeout: 30_000,
}
