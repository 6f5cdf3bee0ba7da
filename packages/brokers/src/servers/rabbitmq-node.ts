import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Certificates } from '../certificates.ts'
import { runCommand } from '../command.ts'
import { amqpLogin } from '../net/amqp.ts'
import { tcpAnswers } from '../net/tcp.ts'
import { dockerNode } from '../processes/docker-node.ts'
import type { Guard } from '../processes/guard.ts'
import { nativeNode } from '../processes/native-node.ts'
import type { ServerNode } from '../processes/server-node.ts'
import type { Located, Requirement } from '../sources/locate.ts'
import type { StartOptions } from '../types.ts'

type Tool = 'rabbitmq-server' | 'rabbitmqctl' | 'epmd'

export const rabbitRequirement: Requirement<Tool> = {
  label: 'RabbitMQ',
  tools: ['rabbitmq-server', 'rabbitmqctl', 'epmd'],
  folders: ['/usr/sbin', '/usr/bin', '/opt/homebrew/sbin'],
  // Debian's programs on the PATH change to the service's user and folder.
  foldersBefore: ['/usr/lib/rabbitmq/bin'],
  debianPackages: ['rabbitmq-server'],
  dockerImage: 'rabbitmq:3.13',
  variable: 'RABBITMQ_URL',
}

export interface RabbitNode {
  readonly erlangName: string
  readonly port: number
  readonly tlsPort: number
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
}

export interface RabbitNodeParts {
  located: Located<Tool>
  /** AMQP, distribution, and TLS when there is any. */
  ports: { amqp: number; distribution: number; tls: number }
  epmdPort: number
  folder: string
  certificates: Certificates | undefined
  options: StartOptions
  more?: Readonly<Record<string, string>>
}

/** Writes a node's configuration; nothing of the machine's own RabbitMQ is read or written. */
export function describeRabbitNode(parts: RabbitNodeParts): RabbitNode {
  const { ports, folder, options, certificates } = parts
  const bind = parts.located.kind === 'docker' ? '0.0.0.0' : '127.0.0.1'
  mkdirSync(path.join(folder, 'log'), { recursive: true })
  const settings: Record<string, string> = {
    'listeners.tcp.1': `${bind}:${ports.amqp}`,
    // In a container the host is not loopback.
    loopback_users: 'none',
    'log.file.level': 'info',
    'disk_free_limit.absolute': '50MB',
    ...parts.more,
  }
  const plugins = [...(options.plugins ?? [])]
  if (certificates) {
    settings['listeners.ssl.1'] = `${bind}:${ports.tls}`
    settings['ssl_options.cacertfile'] = certificates.caPath
    settings['ssl_options.certfile'] = certificates.certPath
    settings['ssl_options.keyfile'] = certificates.keyPath
    settings['ssl_options.verify'] = 'verify_peer'
    settings['ssl_options.fail_if_no_peer_cert'] = String(options.clientCertificate === true)
    settings['auth_mechanisms.1'] = 'PLAIN'
    settings['auth_mechanisms.2'] = 'AMQPLAIN'
    settings['auth_mechanisms.3'] = 'EXTERNAL'
    settings['ssl_cert_login_from'] = 'common_name'
    plugins.push('rabbitmq_auth_mechanism_ssl')
  }
  Object.assign(settings, options.extra)
  const file = (name: string, text: string, mode = 0o644): string => {
    const full = path.join(folder, name)
    writeFileSync(full, text, { mode })
    return full
  }
  const config = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`)
  // One cookie for all, no secret: it only keeps us apart from the machine's own nodes.
  file('.erlang.cookie', 'MQBROKERS', 0o600)
  const erlangName = `mq${ports.amqp}@localhost`
  return {
    erlangName,
    port: ports.amqp,
    tlsPort: ports.tls,
    folder,
    env: {
      HOME: folder,
      RABBITMQ_NODENAME: erlangName,
      RABBITMQ_DIST_PORT: String(ports.distribution),
      RABBITMQ_MNESIA_BASE: path.join(folder, 'mnesia'),
      RABBITMQ_LOG_BASE: path.join(folder, 'log'),
      RABBITMQ_CONFIG_FILE: file('rabbitmq.conf', config.join('')),
      RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config', '[].\n'),
      RABBITMQ_CONF_ENV_FILE: file('rabbitmq-env.conf', ''),
      RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins', `[${plugins.join(',')}].\n`),
      RABBITMQ_GENERATED_CONFIG_DIR: path.join(folder, 'config'),
      // No busy waiting: two cores carry clients and servers.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_EPMD_PORT: String(parts.epmdPort),
    },
  }
}

/** The server process of a node. */
export function rabbitServer(node: RabbitNode, located: Located<Tool>, guard: Guard): ServerNode {
  const label = `rabbitmq-server on port ${node.port}`
  const ready = async (): Promise<boolean> => (await rabbitVersion(node.port)) !== ''
  const readyTimeoutMs = 90_000
  if (located.kind === 'docker') {
    return dockerNode(
      {
        label,
        docker: located.docker,
        image: located.image,
        container: containerOf(node),
        ports: node.tlsPort > 0 ? [node.port, node.tlsPort] : [node.port],
        folders: [node.folder],
        env: node.env,
        args: ['rabbitmq-server'],
        ready,
        readyTimeoutMs,
      },
      guard,
    )
  }
  return nativeNode(
    {
      label,
      command: located.tools['rabbitmq-server'],
      args: [],
      env: { ...cleanEnvironment(), ...node.env },
      cwd: node.folder,
      logPath: path.join(node.folder, 'rabbitmq.log'),
      ready,
      readyTimeoutMs,
    },
    guard,
  )
}

/** Erlang's port mapper, our own: the machine's may belong to somebody else. */
export function portMapper(located: Located<Tool>, port: number, folder: string, guard: Guard): ServerNode[] {
  if (located.kind === 'docker') return []
  return [
    nativeNode(
      {
        label: `epmd on port ${port}`,
        command: located.tools.epmd,
        args: ['-port', String(port), '-address', '127.0.0.1'],
        cwd: folder,
        logPath: path.join(folder, 'epmd.log'),
        ready: () => tcpAnswers('127.0.0.1', port),
        readyTimeoutMs: 10_000,
      },
      guard,
    ),
  ]
}

/** rabbitmqctl, or the tool that the first argument names (`rabbitmq-queues` …), against one node. */
export async function rabbitTool(
  node: RabbitNode,
  located: Located<Tool>,
  args: readonly string[],
): Promise<string> {
  const named = args[0]?.startsWith('rabbitmq-') === true
  const tool = named ? (args[0] ?? '') : 'rabbitmqctl'
  const rest = named ? args.slice(1) : args
  const printed =
    located.kind === 'docker'
      ? await runCommand(located.docker, ['exec', containerOf(node), tool, '--quiet', ...rest])
      : await runCommand(
          path.join(path.dirname(located.tools.rabbitmqctl), tool),
          // Plugins are switched through files; the other tools speak to the node.
          rest.includes('-n') || rest.includes('--node')
            ? ['-q', ...rest]
            : ['-q', '-n', node.erlangName, ...rest],
          { env: { ...cleanEnvironment(), ...node.env } },
        )
  return printed.trimEnd()
}

export function rabbitVersion(port: number): Promise<string> {
  return amqpLogin({ host: '127.0.0.1', port, username: 'guest', password: 'guest', vhost: '/' })
}

function containerOf(node: RabbitNode): string {
  return `mq-rabbitmq-${node.port}`
}

/** Without the caller's own RABBITMQ_… variables, which would reach into the server. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('RABBITMQ_')))
}
