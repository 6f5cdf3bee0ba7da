import { runCommand } from '../command.ts'
import { findBinary } from './find-binary.ts'

/** The docker program, if its engine answers. */
export async function dockerProgram(): Promise<string | undefined> {
  const docker = findBinary('docker')
  if (docker === undefined) return undefined
  try {
    await runCommand(docker, ['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 })
    return docker
  } catch {
    return undefined
  }
}
