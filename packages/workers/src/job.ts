import type { DeadLetterInfo, Message } from '@mq/core'

/** A message as it reaches a worker: plain data, since a class and the client's own object cannot cross into a thread. */
export type WorkerMessage<Body = unknown> = Pick<
  Message<Body>,
  | 'id'
  | 'body'
  | 'headers'
  | 'timestamp'
  | 'queueName'
  | 'routingKey'
  | 'correlationId'
  | 'replyTo'
  | 'contentType'
  | 'deliveryCount'
  | 'redeliveries'
  | 'priority'
  | 'key'
  | 'traceId'
  | 'spanId'
> & { readonly deadLetter: DeadLetterInfo | undefined }

export interface WorkerContext {
  /** 1 on the first run. */
  readonly attempt: number
}

/** What goes into a thread. */
export interface Job {
  readonly module: string
  readonly message: WorkerMessage
  readonly context: WorkerContext
}

/** What comes back. Errors as data: structured cloning keeps neither their class nor their code. */
export type Answer = { readonly result: unknown } | { readonly error: ThrownError }

export interface ThrownError {
  readonly name: string
  readonly message: string
  readonly stack: string
  readonly code: string | undefined
  /** Of a `RetryError`. */
  readonly delayMs: number | undefined
}

export function toWorkerMessage(message: Message): WorkerMessage {
  const { id, body, headers, timestamp, queueName, routingKey, correlationId, replyTo, contentType } = message
  const { deliveryCount, redeliveries, priority, key, traceId, spanId, deadLetter } = message
  return {
    ...{ id, body, headers: { ...headers }, timestamp, queueName, routingKey, correlationId, replyTo },
    ...{ contentType, deliveryCount, redeliveries, priority, key, traceId, spanId, deadLetter },
  }
}
