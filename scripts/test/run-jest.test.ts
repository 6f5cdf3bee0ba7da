import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { runJest } from '../lib/run-jest.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mq-run-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function runProgram(name: string, program: string) {
  const file = join(folder, `${name}.mjs`)
  const report = join(folder, `${name}.json`)
  await writeFile(file, `import { writeFileSync } from 'node:fs'; ${program}`)
  return runJest([file, report], { cwd: folder, env: {}, report, exitMs: 1_000 })
}
const writes = "writeFileSync(process.argv[2], '{}')"

it('says how a run that exits by itself ended, with or without a report', async () => {
  expect(await runProgram('good', writes)).toEqual({ code: 0, left: null })
  expect(await runProgram('bad', `${writes}; process.exitCode = 3`)).toEqual({ code: 3, left: null })
  expect(await runProgram('none', 'process.exit(2)')).toEqual({ code: 2, left: null })
  expect(await runProgram('killed', "process.kill(process.pid, 'SIGKILL')")).toEqual({ code: 1, left: null })
})

it('ends a run that does not exit after its report, and says what kept it', async () => {
  const server = "import { createServer } from 'node:net'; const server = createServer()"
  const result = await runProgram('open', `${server}; server.listen(0, '127.0.0.1', () => ${writes})`)
  expect(result).toEqual({ code: 1, left: [expect.stringMatching(/^tcp from .+:\d+$/)] })
})

it('waits for a run that is at work for longer than it may take to exit', async () => {
  expect(await runProgram('long', `setTimeout(() => ${writes}, 1_500)`)).toEqual({ code: 0, left: null })
})
