import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from '@jest/globals'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

it('prints what it says it prints, and ends by itself', async () => {
  const flags = ['--conditions=@mq/source', '--import', 'tsx']
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, here('../src/main.ts')], {
    env: { ...process.env, NODE_OPTIONS: '' },
    timeout: 60_000,
  })
  expect(stderr).toBe('')
  expect(stdout).toBe(readFileSync(here('../expected.txt'), 'utf8'))
}, 90_000)
