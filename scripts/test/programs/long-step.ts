/** A script in the middle of a step that does not end by itself. Prints its temporary folder, in which the step leaves its process id. */
import { join } from 'node:path'
import { inTemporaryFolder } from '../../lib/ending.ts'
import { run } from '../../lib/run.ts'

const step =
  "require('node:fs').writeFileSync(process.argv[1], `${process.pid}`); setInterval(() => {}, 1000)"

await inTemporaryFolder('mq-ending-', async (folder) => {
  console.log(folder)
  await run(process.execPath, ['--eval', step, join(folder, 'pid')])
  console.log('the next step')
})
