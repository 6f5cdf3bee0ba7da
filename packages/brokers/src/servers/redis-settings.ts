import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Requirement } from '../sources/locate.ts'
import type { StartOptions } from '../types.ts'
import type { Certificates } from '../certificates.ts'

export const redisRequirement: Requirement<'redis-server' | 'redis-cli'> = {
  label: 'Redis',
  tools: ['redis-server', 'redis-cli'],
  folders: ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'],
  debianPackages: ['redis-server'],
  dockerImage: 'redis:7',
  variable: 'REDIS_URL',
}

/** The users of a server started with `acl: true`; the default user is off. */
export const redisUsers = {
  app: { username: 'app', password: 'app-password' },
  admin: { username: 'admin', password: 'admin-password' },
} as const

/** `app:password@` for URLs; empty without `acl`. */
export function userInfo(options: StartOptions): string {
  return options.acl ? `${redisUsers.app.username}:${redisUsers.app.password}@` : ''
}

/** Both users, for `details`. */
export function loginDetails(options: StartOptions): Record<string, string> {
  if (!options.acl) return {}
  const { username: adminUsername, password: adminPassword } = redisUsers.admin
  return { ...redisUsers.app, adminUsername, adminPassword }
}

export interface RedisSettings {
  port: number
  /** Address to listen on. In a container every address: Docker publishes the port on loopback alone. */
  bind: string
  folder: string
  tlsPort?: number | undefined
  certificates?: Certificates | undefined
  options: StartOptions
  /** Lines that only a member of a cluster or of a replication group needs. */
  more?: Readonly<Record<string, string>>
}

/** Writes `redis.conf` into the folder and returns its path. A file, so that CONFIG REWRITE works. */
export function writeRedisConfig(settings: RedisSettings): string {
  const { options, certificates } = settings
  const lines: [string, string][] = [
    ['port', String(settings.port)],
    ['bind', settings.bind],
    ['protected-mode', 'no'],
    ['daemonize', 'no'],
    ['dir', quoted(settings.folder)],
    ['appendonly', options.persistence === false ? 'no' : 'yes'],
    ['appendfsync', options.appendfsync ?? 'everysec'],
    ['save', '""'],
    ['maxmemory-policy', 'noeviction'],
  ]
  if (options.acl) {
    lines.push(
      // Replicas log in to their master with it.
      ['masteruser', redisUsers.admin.username],
      ['masterauth', redisUsers.admin.password],
      ['user', 'default off'],
      ['user', `${redisUsers.admin.username} on >${redisUsers.admin.password} ~* &* +@all`],
      // What a careful administrator grants: no CONFIG, no FLUSHALL, no ACL; INFO alone of the dangerous ones.
      [
        'user',
        `${redisUsers.app.username} on >${redisUsers.app.password} ~* &* +@all -@admin -@dangerous +info`,
      ],
    )
  }
  if (settings.tlsPort !== undefined && certificates) {
    lines.push(
      ['tls-port', String(settings.tlsPort)],
      ['tls-ca-cert-file', quoted(certificates.caPath)],
      ['tls-cert-file', quoted(certificates.certPath)],
      ['tls-key-file', quoted(certificates.keyPath)],
      ['tls-auth-clients', options.clientCertificate ? 'yes' : 'optional'],
    )
  }
  lines.push(...Object.entries(settings.more ?? {}), ...Object.entries(options.extra ?? {}))
  const file = path.join(settings.folder, 'redis.conf')
  writeFileSync(file, lines.map(([name, value]) => `${name} ${value}\n`).join(''), { mode: 0o600 })
  return file
}

function quoted(file: string): string {
  return JSON.stringify(file)
}
