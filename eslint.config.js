import { existsSync, readdirSync } from 'node:fs'
import js from '@eslint/js'
import tseslint from 'typescript-eslint'

const packages = readdirSync('packages').filter((name) => existsSync(`packages/${name}/package.json`))
const adapters = packages.filter((name) => existsSync(`packages/${name}/src/adapter.ts`))

/** The client that each adapter wraps: nobody else may touch it, or its types would leak into the API. */
const clients = {
  redis: ['redis', '@redis/*'],
  rabbitmq: ['amqplib', 'amqplib/*'],
  kafka: ['kafkajs', 'kafkajs/*'],
}

const own = {
  regex: `^(\\.\\./)+(packages/)?(${packages.join('|')})/(src|test)(/|$)`,
  message: 'Import another package by its name, never by a path into it.',
}
const inside = { regex: '^@mq/[^/]+/(src|dist)(/|$)', message: 'Import a public entry point.' }

const restrict = (...patterns) => ({
  'no-restricted-imports': ['error', { patterns: [own, inside, ...patterns] }],
})

/** Client packages are refused wherever their adapter is not. */
const foreignClients = (directory) => ({
  regex: `^(${Object.entries(clients)
    .flatMap(([name, modules]) => (name === directory ? [] : modules))
    .join('|')})(/|$)`,
  message: 'A client is used in its adapter only.',
})

/** Rules of one adapter: core, codecs and its own client, never a sibling. */
const adapterRules = adapters.map((directory) => ({
  files: [`packages/${directory}/src/**/*.ts`],
  rules: restrict(foreignClients(directory), {
    regex: `^@mq/(?!core(/|$)|${directory}(/|$))`,
    message: 'An adapter imports @mq/core, @mq/codecs and its client; adapters never import each other.',
  }),
}))

export default tseslint.config(
  { ignores: ['**/dist/', '**/coverage/', 'results/', 'site/', 'examples/*/out/', '**/*.cts'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Adapters and receivers are plain objects of functions; none of them has a `this` to lose.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        {
          argsIgnorePattern: '^_',
          varsIgnorePattern: '^_',
          caughtErrorsIgnorePattern: '^_',
          ignoreRestSiblings: true,
        },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      // An interface asks for a promise where an implementation may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // Handlers may throw anything, so what is passed on is not always an Error.
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      '@typescript-eslint/only-throw-error': 'off',
      eqeqeq: ['error', 'always'],
      'max-lines': ['error', { max: 400 }],
      'no-console': 'off',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'Name what is exported.' },
        {
          selector: 'BinaryExpression[operator="instanceof"][right.name=/^(Error|Message|.*Error)$/]',
          message: 'Two copies of a class break instanceof: use util.types.isNativeError, a code or a brand.',
        },
        {
          selector:
            'CallExpression[callee.object.name="AbortSignal"][callee.property.name="any"] CallExpression[callee.object.name="AbortSignal"][callee.property.name="timeout"]',
          message: 'Garbage collection ends the time-out on Node 20: use deadlineSignal.',
        },
      ],
      ...restrict(),
    },
  },
  {
    files: ['packages/*/src/**/*.ts'],
    rules: { 'no-console': 'error', ...restrict(foreignClients()) },
  },
  {
    // What handles messages. Those globals of Node are accessors: V8 calls a function for each use, and inlines nothing behind it.
    files: [`packages/{core,codecs,workers,benchmarks,${adapters.join(',')}}/src/**/*.ts`],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'Buffer', message: 'Import it from node:buffer.' },
        { name: 'performance', message: 'Import it from node:perf_hooks.' },
      ],
    },
  },
  {
    files: ['packages/core/src/**/*.ts'],
    rules: restrict(foreignClients(), {
      regex: '^@mq/',
      message: 'Core imports no other package; the factory loads adapters by name.',
    }),
  },
  {
    // The leaves of core, which everything else may stand on.
    files: ['message', 'config', 'errors', 'error-codes', 'backoff'].flatMap((name) => [
      `packages/core/src/${name}.ts`,
      `packages/core/src/${name}/**/*.ts`,
    ]),
    rules: restrict(foreignClients(), {
      regex: '^@mq/|/(message-queue|supervisor|factory|engine|send|consume|manage|memory)(/|\\.ts$)',
      message: 'A leaf of core imports leaves only.',
    }),
  },
  // The in-memory broker is written as a stranger's adapter would be: against the contract alone.
  ...['', '*/'].map((below) => ({
    files: [`packages/core/src/memory/${below}*.ts`],
    rules: restrict(foreignClients(), {
      regex: `^@mq/|^\\.\\./${below && '\\.\\./'}(?!adapter/index\\.ts$)`,
      message: 'The in-memory broker imports the adapter contract (adapter/index.ts) alone.',
    }),
  })),
  {
    // It reports to people: what is pending, where the results are.
    files: ['packages/conformance/src/**/*.ts'],
    rules: {
      'no-console': 'off',
      ...restrict(foreignClients(), {
        regex: '^@mq/(?!core(/|$))|^@jest/',
        message: 'The suite knows core alone; brokers and test runners are injected.',
      }),
    },
  },
  ...adapterRules,
  {
    files: ['packages/{brokers,benchmarks}/src/**/*.ts', 'examples/**/*.ts'],
    rules: { 'no-console': 'off', ...restrict() },
  },
  // Scripts generate documents from what packages keep to themselves.
  { files: ['scripts/**/*.{ts,mts}'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['scripts/**/*.{ts,mts}', '**/test/**/*.ts', 'examples/**/*.ts'],
    rules: {
      // These report errors of their own process, where there is one copy of everything.
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'Name what is exported.' },
      ],
    },
  },
  {
    files: ['**/test/**/*.ts'],
    rules: {
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
    },
  },
  { files: ['**/*.js'], ...tseslint.configs.disableTypeChecked },
  {
    files: ['**/*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly' } },
  },
)
