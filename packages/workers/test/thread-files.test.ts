import { expect, it } from '@jest/globals'
import { loadingFlags } from '../src/thread-files.ts'

it('passes on the flags that modules depend on, and none that a thread refuses', () => {
  const argv = [
    '--import',
    'tsx',
    '-C=a',
    '--max-old-space-size=99',
    '--require',
    './a.cjs',
    '--eval',
    '--import',
  ]
  expect(loadingFlags(argv)).toEqual(['--import', 'tsx', '-C=a', '--require', './a.cjs', '--import'])
})
