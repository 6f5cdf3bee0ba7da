import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import Connection from 'kafkajs/src/network/connection.js'
import createSocketFactory from 'kafkajs/src/network/socketFactory.js'
import protocolErrors from 'kafkajs/src/protocol/error.js'
import apiKeys from 'kafkajs/src/protocol/requests/apiKeys.js'
import protocolRequests from 'kafkajs/src/protocol/requests/index.js'
import { LONGEST_TIMER_MS } from './abort.ts'
import { markUnsent } from './errors.ts'
import { Writer } from './log/bytes.ts'
import { namingRightOf } from './rights.ts'

/**
 * kafkajs behind one door: its sockets, TLS, SASL and the coding of requests. Its consumer, producer and admin are not used: they commit
 * without being asked, swallow commits, retry by themselves and cannot say what happened to which partition.
 * Nothing else in this package knows kafkajs, so another client can take its place.
 */

export interface SaslSettings {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

export interface ClientSettings {
  readonly clientId: string
  readonly ssl: ConnectionOptions | undefined
  readonly sasl: SaslSettings | undefined
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** A request that a caller encodes and decodes itself; its version must be one that the broker has. */
export interface CustomRequest<T> {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  /** One after the other; none is copied, and none may be changed afterwards. */
  readonly body: readonly Buffer[]
  /** False: the broker sends no answer, and `decode` sees an empty one. */
  readonly answered: boolean
  decode(payload: Buffer): T
}

/** One socket to one broker. */
export interface Link {
  readonly dead: boolean
  /** Requests whose answer is still owed. */
  readonly pending: number
  /** A request of kafkajs by its name, in the newest version that both sides know. Rejects with kafkajs's own errors. */
  call<T>(name: ApiName, args: object, timeoutMs?: number): Promise<T>
  custom<T>(request: CustomRequest<T>, timeoutMs?: number): Promise<T>
  /** Rejects what is pending and ends the socket now. */
  destroy(cause: unknown): void
}

export type ApiName =
  | 'Metadata'
  | 'ListOffsets'
  | 'OffsetCommit'
  | 'OffsetFetch'
  | 'GroupCoordinator'
  | 'JoinGroup'
  | 'Heartbeat'
  | 'LeaveGroup'
  | 'SyncGroup'
  | 'DescribeGroups'
  | 'ListGroups'
  | 'CreateTopics'
  | 'DeleteTopics'
  | 'DeleteRecords'
  | 'DescribeConfigs'
  | 'DeleteGroups'
  | 'ApiVersions'
  | 'SaslAuthenticate'

interface Request {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  encode(): Promise<unknown>
  expectResponse?(): boolean
}
interface Response {
  decode(payload: Buffer): Promise<unknown>
  parse(decoded: unknown): Promise<unknown>
}
interface Protocol {
  readonly request: Request
  readonly response: Response
  readonly requestTimeout?: number | null
  readonly logResponseError?: boolean
}
interface RequestDefinition {
  readonly versions: readonly string[]
  protocol(options: { version: number }): (args: object) => Protocol
}
type Versions = Record<number, { minVersion: number; maxVersion: number }>
interface RequestQueue {
  readonly inflight: ReadonlyMap<number, unknown>
  readonly pending: { rejected(error: unknown): void }[]
  readonly throttledUntil: number
  push(request: {
    readonly entry: {
      readonly apiKey: number
      readonly apiVersion: number
      readonly apiName: string
      readonly correlationId: number
      resolve(answer: { readonly payload: Buffer | null }): void
      reject(error: unknown): void
    }
    readonly expectResponse: boolean
    readonly requestTimeout: number
    sendRequest(): void
  }): void
  throttleCheckTimeoutId: NodeJS.Timeout | null
  scheduleCheckPendingRequests(): void
  checkPendingRequests(): void
  destroy(): void
}
interface KafkaConnection {
  socket?: Socket
  readonly sessionLifetime: { toString(): string }
  readonly requestQueue: RequestQueue
  connect(): Promise<boolean>
  authenticate(): Promise<void>
  setVersions(versions: Versions): void
  setSupportAuthenticationProtocol(supported: boolean): void
  send(protocol: Protocol): Promise<unknown>
  nextCorrelationId(): number
  rejectRequests(error: unknown): void
  isConnected(): boolean
  connectionStatus: string
}

const silent = { namespace: () => silent, debug() {}, info() {}, warn() {}, error() {} }
const ConnectionClass = Connection as new (options: object) => KafkaConnection
const socketFactory = (createSocketFactory as () => (options: object) => Socket)()
const definitions = (protocolRequests as { requests: Record<string, RequestDefinition> }).requests
const keys = apiKeys as Record<string, number>
const { createErrorFromCode, errorCodes } = protocolErrors as {
  readonly errorCodes: { type: string; code: number; retriable: boolean; message: string }[]
  createErrorFromCode(code: number): Error & { type: string }
}

/** Newer than kafkajs: the topic of that id is gone, or its name is another's. */
errorCodes.push(
  { type: 'UNKNOWN_TOPIC_ID', code: 100, retriable: true, message: 'This server hosts no topic of that id' },
  {
    type: 'INCONSISTENT_TOPIC_ID',
    code: 103,
    retriable: true,
    message: 'The topic of that name has another id',
  },
)

/** kafkajs's error for a code of the protocol; `null` for success. */
export function protocolError(code: number): (Error & { type: string }) | null {
  return code === 0 ? null : createErrorFromCode(code)
}

const NOTHING = Buffer.alloc(0)
/** Retired before the broker ends the session, which would answer pending requests with a closed socket. */
const SESSION_SHARE = 0.8

/** Opens one socket: connected, its versions known, authenticated. Rejects on abort, or when `connectTimeoutMs` is over. */
export async function openLink(
  address: Address,
  settings: ClientSettings,
  lost: (cause: unknown) => void,
  signal: AbortSignal,
): Promise<Link> {
  signal.throwIfAborted()
  const connection = new ConnectionClass({
    host: address.host,
    port: address.port,
    logger: silent,
    clientId: settings.clientId,
    ssl: settings.ssl ?? null,
    sasl: settings.sasl ?? null,
    connectionTimeout: settings.connectTimeoutMs,
    // Not by kafkajs, amid other requests: a socket is replaced before its session ends.
    reauthenticationThreshold: 0,
    // Only a floor, and how often it looks: every call brings a limit of its own.
    requestTimeout: 100,
    enforceRequestTimeout: true,
    socketFactory: (options: object) => {
      const socket = socketFactory(options)
      socket.setNoDelay(true)
      return socket
    },
  })
  calmQueue(connection.requestQueue)
  let dead = false
  let expired = false
  let versions: Versions = {}

  const destroy = (cause: unknown): void => {
    if (dead) return
    dead = true
    const connecting = !connection.isConnected()
    connection.connectionStatus = 'disconnected'
    // What still waits here was never written. Of all else the broker may have, and may yet do, what it was asked: whatever ended the socket,
    // that error is not marked, and is no other's that might be.
    for (const waiting of connection.requestQueue.pending.splice(0))
      waiting.rejected(markUnsent(connectionClosed(address, cause)))
    connection.rejectRequests(connectionClosed(address, cause))
    connection.requestQueue.destroy()
    // kafkajs waits for the socket with a timer that keeps the process alive: only an error, to which it listens as long as there is a socket,
    // ends that.
    connection.socket?.destroy(connecting ? connectionClosed(address, cause) : undefined)
  }
  let settled = (): void => undefined
  const failed = new Promise<never>((_, reject) => {
    const stop = (cause: unknown): void => {
      const first = !dead
      destroy(cause)
      reject(cause)
      if (first) lost(cause)
    }
    const aborted = (): void => stop(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    settled = () => signal.removeEventListener('abort', aborted)
    // Attached when the socket exists: `connect` makes it synchronously.
    queueMicrotask(() => {
      connection.socket?.once('close', () => {
        settled()
        stop(connectionClosed(address))
      })
    })
  })
  failed.catch(() => undefined)

  const protocolFor = (name: ApiName, args: object): Protocol => {
    const definition = definitions[name] as RequestDefinition
    const theirs = versions[keys[name] as number]
    const best = Math.max(...definition.versions.map(Number))
    const version = theirs === undefined ? best : Math.min(best, theirs.maxVersion)
    return { ...definition.protocol({ version })(args), logResponseError: false }
  }
  /** A broker that does not answer in time may answer later, out of step: the socket is of no use any more. */
  const refused = (error: unknown): never => {
    if ((error as Error).name === 'KafkaJSRequestTimeoutError') {
      destroy(error)
      lost(error)
    }
    throw error
  }
  const link: Link = {
    get dead() {
      return dead || expired
    },
    get pending() {
      return connection.requestQueue.inflight.size + connection.requestQueue.pending.length
    },
    async call(name, args, timeoutMs) {
      if (dead) throw markUnsent(connectionClosed(address))
      const requestTimeout = timeoutMs ?? settings.requestTimeoutMs
      const answer = connection.send({ ...protocolFor(name, args), requestTimeout })
      return (await answer.catch((error: unknown) => refused(namingRightOf(error, name, args)))) as never
    },
    async custom(request, timeoutMs) {
      if (dead || !connection.isConnected()) throw markUnsent(connectionClosed(address))
      const { apiKey, apiVersion, apiName, body } = request
      const correlationId = connection.nextCorrelationId()
      const head = requestHead(request, correlationId, settings.clientId)
      const answer = await new Promise<{ readonly payload: Buffer | null }>((resolve, reject) => {
        connection.requestQueue.push({
          entry: { apiKey, apiVersion, apiName, correlationId, resolve, reject },
          expectResponse: request.answered,
          requestTimeout: timeoutMs ?? settings.requestTimeoutMs,
          sendRequest: () => {
            const socket = connection.socket as Socket
            socket.cork()
            socket.write(head)
            for (const part of body) socket.write(part)
            socket.uncork()
          },
        })
      }).catch(refused)
      return request.decode(answer.payload ?? NOTHING)
    },
    destroy,
  }

  const setUp = async (): Promise<Link> => {
    await connection.connect()
    versions = await apiVersions(connection)
    connection.setVersions(versions)
    connection.setSupportAuthenticationProtocol(true)
    await connection.authenticate()
    const lifetime = Number(connection.sessionLifetime.toString())
    const ms = Math.min(lifetime * SESSION_SHARE, LONGEST_TIMER_MS)
    if (ms > 0) setTimeout(() => (expired = true), ms).unref()
    return link
  }
  try {
    return await Promise.race([setUp(), failed, deadline(settings.connectTimeoutMs, address)])
  } catch (error) {
    destroy(error)
    throw markUnsent(error)
  } finally {
    settled()
  }
}

/** What comes before the body: how long all of it is, the request's kind, its number and its sender. */
function requestHead(
  { apiKey, apiVersion, body }: CustomRequest<unknown>,
  correlationId: number,
  clientId: string,
): Buffer {
  const head = new Writer(64)
  const length = head.hole()
  head.int16(apiKey).int16(apiVersion).int32(correlationId).string(clientId)
  head.fill(length, body.reduce((sum, part) => sum + part.length, head.length) - 4)
  return head.done()
}

/**
 * kafkajs looks for throttled requests again and again, a thousand times a second on each socket, throttled or not, for as long as the
 * socket lives. Here it looks when something waits.
 */
function calmQueue(queue: RequestQueue): void {
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length === 0 || queue.throttleCheckTimeoutId !== null) return
    const timer = setTimeout(
      () => {
        queue.throttleCheckTimeoutId = null
        queue.checkPendingRequests()
      },
      Math.max(10, queue.throttledUntil - Date.now()),
    )
    queue.throttleCheckTimeoutId = timer
  }
}

async function apiVersions(connection: KafkaConnection): Promise<Versions> {
  const definition = definitions['ApiVersions'] as RequestDefinition
  let last: unknown
  for (const version of definition.versions.map(Number).sort((a, b) => b - a)) {
    try {
      const answer = (await connection.send({
        ...definition.protocol({ version })({}),
        requestTimeout: 600_000,
        logResponseError: false,
      })) as {
        apiVersions: readonly { apiKey: number; minVersion: number; maxVersion: number }[]
      }
      return Object.fromEntries(answer.apiVersions.map((each) => [each.apiKey, each]))
    } catch (error) {
      last = error
      if ((error as { type?: string }).type !== 'UNSUPPORTED_VERSION') throw error
    }
  }
  throw last
}

function deadline(ms: number, address: Address): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => {
      const error = new Error(`no connection to Kafka at ${address.host}:${address.port} within ${ms} ms`)
      error.name = 'KafkaConnectTimeout'
      reject(error)
    }, ms)
    timer.unref()
  })
}

function connectionClosed(address: Address, cause?: unknown): Error {
  const error = new Error(`the connection to Kafka at ${address.host}:${address.port} was closed`, { cause })
  error.name = 'KafkaConnectionClosed'
  return error
}
