/** Builds every package into its `dist`, from nothing: a file whose source is gone must not be published. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { run, type RunResult } from './lib/run.ts'
import { isMain, refuseArguments } from './lib/main.ts'
import { publishedPackages, root } from './lib/workspace.ts'

export function build(inherit: boolean): Promise<RunResult> {
  for (const { folder } of publishedPackages()) rmSync(join(folder, 'dist'), { recursive: true, force: true })
  return run(process.execPath, ['node_modules/turbo/bin/turbo', 'run', 'build'], {
    cwd: root,
    env: { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' },
    inherit,
  })
}

if (isMain(import.meta.url)) {
  refuseArguments('pnpm build')
  process.exitCode = (await build(true)).code
}
