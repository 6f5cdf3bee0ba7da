import { expect, it } from '@jest/globals'
import { loadingFlags, withoutInspector } from '../src/thread-files.ts'

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

it('passes on how Node itself reads TypeScript and modules, without what follows', () => {
  const argv = [
    '--import=tsx',
    '--experimental-strip-types',
    '--expose-gc',
    '--experimental-transform-types',
    '--no-experimental-strip-types',
    '--experimental-vm-modules',
    '--no-warnings',
  ]
  expect(loadingFlags(argv)).toEqual(
    argv.filter((flag) => flag !== '--expose-gc' && flag !== '--no-warnings'),
  )
})

it('leaves the debugger out of the environment, and nothing else', () => {
  const env = { A: 'b', NODE_OPTIONS: '--import tsx --inspect-brk=0 --inspect --max-old-space-size=99' }
  expect(withoutInspector(env)).toEqual({ A: 'b', NODE_OPTIONS: '--import tsx --max-old-space-size=99' })
  expect(withoutInspector({ A: 'b' })).toEqual({ A: 'b' })
})
