import type { ChannelModel } from 'amqplib'
import { connect, credentials } from 'amqplib'
import { hostname } from 'node:os'
import type { Duplex } from 'node:stream'
import { AdapterError } from '@mq/core/adapter'
import { readDeliveries } from './deliveries.ts'
import type { ResolvedOptions } from './options.ts'
import type { Role } from './connection.ts'

/** What ended connections that were open. */
const ends = new WeakMap<ChannelModel, { readonly cause: unknown }>()

/** Why a connection is open no more; null while it is. The client tells of the end once, to those that listen by then. */
export function endOf(model: ChannelModel): { readonly cause: unknown } | null {
  const end = ends.get(model)
  if (end !== undefined) return end
  // It ended by the very bytes that opened it, before there was anything to listen to.
  const { destroyed, writableEnded } = streamOf(model)
  return destroyed || writableEnded ? { cause: closed() } : null
}

function closed(): AdapterError {
  return new AdapterError('MQ_CONNECTION', 'the connection was closed', { retryable: true })
}

/**
 * One AMQP connection, authenticated. Rejects on the first failure or on abort, leaving nothing open. `ended` hears when it is open no more, from the
 * moment that it is.
 */
export async function openSocket(
  options: ResolvedOptions,
  { host, port }: { readonly host: string; readonly port: number },
  role: Role,
  signal: AbortSignal,
  ended: (cause: unknown) => void,
): Promise<ChannelModel> {
  signal.throwIfAborted()
  const { tls } = options
  const secure = tls !== undefined && tls !== false
  // The client cannot be told to stop connecting; its socket can.
  const attempt = new AbortController()
  const stop = () => attempt.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  const connecting = connect(
    {
      protocol: secure ? 'amqps' : 'amqp',
      hostname: host,
      port,
      vhost: encodeURIComponent(options.vhost),
      heartbeat: options.heartbeat,
    },
    {
      noDelay: true,
      keepAlive: true,
      keepAliveDelay: 5_000,
      timeout: options.connectTimeoutMs,
      credentials:
        options.mechanism === 'external'
          ? credentials.external()
          : credentials.plain(options.username, options.password),
      clientProperties: { connection_name: `${options.clientName}:${role} ${process.pid}@${hostname()}` },
      ...(typeof tls === 'object' && {
        rejectUnauthorized: tls.verify,
        ...(tls.ca !== undefined && { ca: tls.ca }),
        ...(tls.cert !== undefined && { cert: tls.cert }),
        ...(tls.key !== undefined && { key: tls.key }),
        ...(tls.servername !== undefined && { servername: tls.servername }),
      }),
      ...({ signal: attempt.signal } as object),
    },
  )
  try {
    const model = await new Promise<ChannelModel>((resolve, reject) => {
      const giveUp = () => reject(signal.reason as Error)
      signal.addEventListener('abort', giveUp, { once: true })
      connecting
        .then(
          (opened) => {
            // In the turn in which it resolved: an error without a listener would end the process.
            opened.on('error', () => undefined)
            opened.on('close', (error?: unknown) => {
              const cause = error ?? closed()
              ends.set(opened, { cause })
              ended(cause)
            })
            if (signal.aborted) destroy(opened)
            else {
              gatherWrites(streamOf(opened))
              readDeliveries(opened)
              resolve(opened)
              const end = endOf(opened)
              if (end !== null) ended(end.cause)
            }
          },
          (error: unknown) => reject((signal.aborted ? signal.reason : error) as Error),
        )
        .finally(() => signal.removeEventListener('abort', giveUp))
    })
    return model
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The client writes each frame by itself, a system call each; what it writes in one turn leaves together. */
function gatherWrites(stream: Duplex): void {
  const write = stream.write as (...args: unknown[]) => boolean
  let corked = false
  const flush = (): void => {
    corked = false
    stream.uncork()
  }
  stream.write = (...args: unknown[]): boolean => {
    if (!corked) {
      corked = true
      stream.cork()
      process.nextTick(flush)
    }
    return write.apply(stream, args)
  }
}

function streamOf(model: ChannelModel): Duplex {
  return (model.connection as unknown as { stream: Duplex }).stream
}

/** Ends a connection at once: the client's own close waits for a peer that may never answer. */
export function destroy(model: ChannelModel): void {
  const stream = streamOf(model)
  if (!stream.destroyed) stream.destroy(new Error('connection closed'))
}
