/** Every server this package can start, in the order the command line lists them. */
export const brokerNames = [
  'redis',
  'redis-cluster',
  'redis-sentinel',
  'rabbitmq',
  'rabbitmq-cluster',
  'kafka',
  'kafka-cluster',
] as const

export type BrokerName = (typeof brokerNames)[number]

/** Places a server can come from, tried in this order. */
export const allSources = ['environment', 'path', 'debian', 'docker'] as const

export type Source = (typeof allSources)[number]

export interface StartOptions {
  /** Places to look for the server, in order. Default: all of them, or `MQ_BROKERS_SOURCES` (comma separated). */
  sources?: readonly Source[]
  /** Ignore the address in the environment and start a server of our own. Default false. */
  fresh?: boolean
  /** Leave the server running when this process ends. Default false: it dies with its parent, however that dies. */
  keep?: boolean
  /**
   * Take the server from this Debian release's packages, e.g. `trixie`, in a folder of their own (debootstrap, chroot).
   * Needs root. Default: none; `sources` says where it comes from.
   */
  debian?: string
  /** First port to listen on. Default: free ones, below the range that outgoing connections use. */
  port?: number
  /** Folder of the data; kept by `stop()`. Default: a temporary folder that `stop()` removes. */
  dataDir?: string
  /** Settings in the server's own language, added last (redis.conf, rabbitmq.conf, server.properties). */
  extra?: Readonly<Record<string, string>>
  /** Add a TLS listener; `details` then has `tlsUrl`, `caPath`, `certPath`, `keyPath` and others. Default false. */
  tls?: boolean
  /** What is wrong with the TLS listener's certificate. Default: nothing. */
  certificate?: 'good' | 'expired' | 'wrong-host'
  /** The TLS listener demands a client certificate. Default false. */
  clientCertificate?: boolean
  /** Redis: when the append-only file reaches the disk. Default 'everysec'. */
  appendfsync?: 'always' | 'everysec' | 'no'
  /** Redis: keep an append-only file. Default true. */
  persistence?: boolean
  /** Redis: added to the environment of the server. Not in Docker. Default: nothing. */
  env?: Readonly<Record<string, string>>
  /** Redis: users `app` (used by `url`) and `admin` instead of the open default user. Default false. */
  acl?: boolean
  /** Redis Cluster: replicas of each of the three masters. Redis Sentinel: replicas of the master. Default 1. */
  replicas?: number
  /** RabbitMQ: plugins to enable, e.g. `rabbitmq_management`. Default: none. */
  plugins?: readonly string[]
  /** Kafka: add a SASL listener (PLAIN, SCRAM-SHA-256 and -512) with the user in `details`. Default false. */
  sasl?: boolean
  /**
   * Kafka: add a listener for a fault proxy. It listens at `details.proxiedUrl` and advertises `details.proxyUrl`,
   * where the caller starts a proxy for each node. Default false.
   */
  proxied?: boolean
  /** Kafka: heap of each node. Default 256. */
  memoryMiB?: number
}

/** A server that answers. Node numbers start at 0; without a number a method means every node. */
export interface RunningBroker {
  readonly name: BrokerName
  /** Where clients connect: `redis://…`, `amqp://…`, or Kafka's `host:port[,host:port]`. */
  readonly url: string
  /** The same for each node. */
  readonly urls: readonly string[]
  /** False for a server named by the environment: it cannot be killed, frozen or restarted. */
  readonly owned: boolean
  /** Further facts: version, paths of certificates, users. */
  readonly details: Readonly<Record<string, string>>
  /** Ends the server and removes its temporary data. A second call does nothing. */
  stop(): Promise<void>
  /** SIGKILL; resolves when the process is gone. */
  kill(node?: number): Promise<void>
  /** Starts it again on the same port with the same data; resolves when it answers. */
  start(node?: number): Promise<void>
  /** `kill`, then `start`. */
  restart(node?: number): Promise<void>
  /** SIGSTOP for the whole process group: sockets stay open, nothing answers. Returns when all of it stands still. */
  freeze(node?: number): void
  /** SIGCONT for the whole process group. */
  thaw(node?: number): void
  /** Runs the broker's own administration tool against it and resolves with what it printed. */
  run(...args: string[]): Promise<string>
}
