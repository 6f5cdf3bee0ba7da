import { execFileSync } from 'node:child_process'
import { runCommand } from '../command.ts'
import { brokerError, messageOf } from '../errors.ts'
import { waitUntil } from '../wait.ts'
import type { Guard } from './guard.ts'
import type { ServerNode } from './server-node.ts'

export interface DockerNodeSpec {
  label: string
  /** The docker program. */
  docker: string
  image: string
  /** Name of the container, unique on this machine. */
  container: string
  /** Published on loopback under the same numbers. */
  ports: readonly number[]
  /** Mounted under the same paths, so that one configuration serves both worlds. */
  folders: readonly string[]
  env?: Readonly<Record<string, string>>
  entrypoint?: string
  args: readonly string[]
  ready: () => Promise<boolean>
  readyTimeoutMs: number
}

/** A server in a container. */
export function dockerNode(spec: DockerNodeSpec, guard: Guard): ServerNode {
  let created = false
  let running = false
  const docker = (...args: string[]): Promise<string> => runCommand(spec.docker, args, { timeoutMs: 600_000 })

  function now(verb: string): void {
    execFileSync(spec.docker, [verb, spec.container], { stdio: 'ignore', env: process.env })
  }

  async function start(): Promise<void> {
    if (running) return
    if (created) await docker('start', spec.container)
    else {
      guard.watchContainer(spec.container)
      await docker('run', '--detach', '--name', spec.container, ...runArguments(spec))
      created = true
    }
    running = true
    let problem = 'did not answer'
    const answers = await waitUntil(async () => {
      try {
        return await spec.ready()
      } catch (error) {
        problem = messageOf(error)
        return false
      }
    }, spec.readyTimeoutMs)
    if (answers) return
    const log = await docker('logs', '--tail', '20', spec.container).catch(messageOf)
    await remove()
    throw brokerError('BROKER_START_FAILED', `${spec.label} not ready: ${problem}\n${log}`)
  }

  async function remove(): Promise<void> {
    if (!created) return
    created = running = false
    await docker('rm', '--force', '--volumes', spec.container)
    guard.forgetContainer(spec.container)
  }

  return {
    start,
    kill: async () => {
      if (!running) return
      running = false
      await docker('kill', '--signal', 'KILL', spec.container)
      await docker('wait', spec.container)
    },
    stop: async (politely) => {
      if (politely && running) await docker('stop', spec.container)
      await remove()
    },
    freeze: () => now('pause'),
    thaw: () => now('unpause'),
    handle: () => (running ? { kind: 'container', container: spec.container } : undefined),
  }
}

function runArguments(spec: DockerNodeSpec): string[] {
  const args = spec.ports.flatMap((port) => ['--publish', `127.0.0.1:${port}:${port}`])
  for (const folder of spec.folders) args.push('--volume', `${folder}:${folder}`)
  for (const [name, value] of Object.entries(spec.env ?? {})) args.push('--env', `${name}=${value}`)
  if (spec.entrypoint !== undefined) args.push('--entrypoint', spec.entrypoint)
  // Files in the mounted folder then belong to us, and can be removed by us.
  const uid = process.getuid?.()
  if (uid !== undefined) args.push('--user', `${uid}:${process.getgid?.() ?? uid}`)
  return [...args, spec.image, ...spec.args]
}
