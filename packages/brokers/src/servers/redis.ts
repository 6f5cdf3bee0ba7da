import path from 'node:path'
import { makeCertificates } from '../certificates.ts'
import { runCommand } from '../command.ts'
import { dataFolder } from '../folders.ts'
import { choosePorts } from '../net/ports.ts'
import { respCommand, type RespTarget } from '../net/resp.ts'
import { dockerNode } from '../processes/docker-node.ts'
import type { Guard } from '../processes/guard.ts'
import { nativeNode } from '../processes/native-node.ts'
import type { ServerNode } from '../processes/server-node.ts'
import { locate, type Located } from '../sources/locate.ts'
import type { Source, StartOptions } from '../types.ts'
import { assemble, guarded, type Launched } from './launched.ts'
import { loginDetails, redisRequirement, redisUsers, userInfo, writeRedisConfig } from './redis-settings.ts'

/** One Redis server. */
export async function startRedis(
  options: StartOptions,
  sources: readonly Source[],
  guard: Guard,
): Promise<Launched> {
  const located = await locate(redisRequirement, sources, options.debian)
  const [port = 0, tlsPort = 0] = await choosePorts(options.tls ? 2 : 1, options.port)
  const folder = guarded(dataFolder('redis', options.dataDir), guard)
  const certificates = options.tls
    ? await makeCertificates(path.join(folder.path, 'tls'), options.certificate ?? 'good', sources)
    : undefined
  const config = writeRedisConfig({
    port,
    bind: located.kind === 'docker' ? '0.0.0.0' : '127.0.0.1',
    folder: folder.path,
    tlsPort: certificates && tlsPort,
    certificates,
    options,
  })
  const target: RespTarget = { host: '127.0.0.1', port, ...(options.acl ? redisUsers.admin : {}) }
  const ports = certificates ? [port, tlsPort] : [port]
  const env = { ...process.env, ...options.env }
  const node = redisNode({ located, config, folder: folder.path, ports, target, guard, env })
  const url = `redis://${userInfo(options)}127.0.0.1:${port}`
  const details = loginDetails(options)
  if (certificates) {
    const tlsUrl = `rediss://${userInfo(options)}127.0.0.1:${tlsPort}`
    Object.assign(details, certificates, { tlsUrl })
  }
  const run = redisCli(located, target, `mq-redis-${port}`)
  return assemble(
    { name: 'redis', url, urls: [url], details, nodes: [node], folder, guard, run },
    async () => void (details['version'] = await redisVersion(target)),
  )
}

export interface RedisNodeParts {
  located: Located<'redis-server' | 'redis-cli'>
  config: string
  folder: string
  /** Published when it runs in a container. */
  ports: readonly number[]
  target: RespTarget
  guard: Guard
  sentinel?: boolean
  /** Of a server on this machine. Default: this process's. */
  env?: NodeJS.ProcessEnv
}

export function redisNode(parts: RedisNodeParts): ServerNode {
  const { located, config, folder, ports, target, guard } = parts
  const label = `${parts.sentinel ? 'redis-sentinel' : 'redis-server'} on port ${target.port}`
  const args = parts.sentinel ? [config, '--sentinel'] : [config]
  // While it loads its data it answers an error: not ready.
  const ready = async (): Promise<boolean> => (await respCommand(target, 'PING')) === 'PONG'
  const readyTimeoutMs = 30_000
  return located.kind === 'native'
    ? nativeNode(
        {
          label,
          command: located.tools['redis-server'],
          args,
          env: parts.env ?? process.env,
          cwd: folder,
          logPath: path.join(folder, 'redis.log'),
          ready,
          readyTimeoutMs,
        },
        guard,
      )
    : dockerNode(
        {
          label,
          docker: located.docker,
          image: located.image,
          container: `mq-redis-${target.port}`,
          ports,
          folders: [folder],
          args: ['redis-server', ...args],
          ready,
          readyTimeoutMs,
        },
        guard,
      )
}

/** redis-cli against one server; `-p PORT` among the arguments addresses another. */
export function redisCli(
  located: Located<'redis-server' | 'redis-cli'>,
  target: RespTarget,
  container: string,
): (...args: string[]) => Promise<string> {
  const login = target.password === undefined ? [] : ['--user', target.username ?? 'default']
  const env: NodeJS.ProcessEnv = { ...process.env }
  if (target.password === undefined) delete env['REDISCLI_AUTH']
  else env['REDISCLI_AUTH'] = target.password
  const own = ['-h', target.host, '-p', String(target.port), ...login]
  // -e: an error reply is an error exit.
  return async (...args) => {
    const inside = ['exec', '--env', 'REDISCLI_AUTH', container, 'redis-cli', ...own, '-e', ...args]
    const printed = await (located.kind === 'native'
      ? runCommand(located.tools['redis-cli'], [...own, '-e', ...args], { env })
      : runCommand(located.docker, inside, { env }))
    return printed.trimEnd()
  }
}

export async function redisVersion(target: RespTarget): Promise<string> {
  const info = await respCommand(target, 'INFO', 'server')
  return /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown'
}
