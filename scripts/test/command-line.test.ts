import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals'
import { run } from '../lib/run.ts'
import { root } from '../lib/workspace.ts'

// Each starts a Node of its own, or two.
jest.setTimeout(120_000)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mq-arguments-'))
  writeFileSync(join(folder, 'precious.txt'), '')
})
afterAll(() => rmSync(folder, { recursive: true }))

function script(name: string, ...args: string[]) {
  const node = ['--conditions=@mq/source', '--import', 'tsx', `scripts/${name}.ts`, ...args]
  return run(process.execPath, node, { cwd: root, env: { NODE_OPTIONS: '' } })
}

it.each([
  ['check', ['toString'], 'unknown step toString; steps: packages, '],
  ['build', ['packages/core'], 'pnpm build takes no arguments; it was given packages/core'],
  ['generate-docs', ['--check'], 'pnpm docs:generate takes no arguments; it was given --check'],
  ['build-docs', ['--help'], 'usage: pnpm run docs [FOLDER]'],
  ['test', ['--watch'], 'pnpm test runs once; '],
])('%s %j is refused in one line, with exit code 2', async (name, args, says) => {
  const { code, output } = await script(name, ...args)
  expect(output).toContain(says)
  expect(output.trimEnd().split('\n')).toHaveLength(1)
  expect(code).toBe(2)
})

it('the site is not written over a folder of something else', async () => {
  const { code, output } = await script('build-docs', folder)
  expect(output).toBe(`${folder} is no site, and would be deleted: name a new folder\n`)
  expect(code).toBe(2)
  expect(existsSync(join(folder, 'precious.txt'))).toBe(true)
})

it('a document that is not there is a problem', async () => {
  const { code, output } = await script('check-docs', 'docs/nothing.md')
  expect(output).toContain('docs/nothing.md: there is no such document')
  expect(code).toBe(1)
})

it('a test run that Jest refuses says so, and one that only answers is fine', async () => {
  const refused = await script('test', '--nonsense')
  expect(refused.output).toMatch(/ran no test; what it says is above\n0 passed, 1 failed\n$/)
  expect(refused.code).toBe(1)
  const answered = await script('test', '--version')
  expect(answered.output).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect(answered.code).toBe(0)
  const listed = await script('test', '--slow', '--listTests', 'docs-site')
  expect(listed.output.trimEnd().split('\n').at(-1)).toMatch(/docs-site\.slow\.test\.ts$/)
  expect(listed.code).toBe(0)
})
