/// <reference types="node" preserve="true" />
export { systemClock, type Clock } from './adapter/clock.ts'
export {
  DeadLetterReason,
  type BrokerAdapter,
  type Capabilities,
  type Certainty,
  type DeadLetterInfo,
} from './adapter/contract.ts'
export type { Codecs, Encoding, Format } from './message/codec.ts'
export { ConnectionConfig, type ConnectionConfigInput } from './config/connection-config.ts'
export { ConsumerConfig, type ConsumerConfigInput } from './config/consumer-config.ts'
export {
  AcknowledgmentMode,
  CompressionType,
  DeliveryMode,
  MessageBroker,
  MessageFormat,
} from './config/enums.ts'
export { MessageConfig, type MessageConfigInput } from './config/message-config.ts'
export { MessageQueueConfig, type MessageQueueConfigInput } from './config/message-queue-config.ts'
export { ProducerConfig, type ProducerConfigInput } from './config/producer-config.ts'
export { QueueConfig, type QueueConfigInput } from './config/queue-config.ts'
export type { Consumer, ConsumerStats } from './consume/consumer.ts'
export type { SubscriptionOptions } from './manage/administration.ts'
export type {
  DeadLetterFilter,
  DeadLetters,
  ListOptions,
  RedriveOptions,
  RedriveResult,
} from './manage/dead-letters.ts'
export { messageHandler, type BatchHandlerDecorator, type MessageHandlerDecorator } from './decorators.ts'
export type { DeduplicationStore, MessageQueueEvents } from './engine.ts'
export {
  AlreadySettledError,
  ConfigurationError,
  ConnectionError,
  HandlerNotFoundError,
  LeaseLostError,
  MessageQueueError,
  NotConnectedError,
  PublishError,
  QueueConflictError,
  QueueNotFoundError,
  RejectError,
  RemoteError,
  RequestTimeoutError,
  RetryError,
  SerializationError,
  UnsupportedError,
  ValidationError,
  type ConfigurationProblem,
  type PublishFailure,
} from './errors.ts'
export { ErrorCode } from './error-codes.ts'
export { MessageQueueFactory } from './factory.ts'
export type {
  BatchHandlerFunction,
  BatchMessageHandler,
  BatchOptions,
  HandlerContext,
  HandlerFunction,
  HandlerOptions,
  MessageHandler,
  RetryOptions,
} from './consume/handler.ts'
export type { Health } from './manage/health.ts'
export type { Logger } from './logger.ts'
export {
  getMessageQueueManager,
  initMessageQueueManager,
  shutdownMessageQueueManager,
} from './manage/manager-instance.ts'
export {
  MessageQueueManager,
  type GlobalStats,
  type ManagerHealth,
  type ManagerOptions,
  type QueueHealth,
} from './manage/manager.ts'
export {
  createMemoryBroker,
  memoryAdapter,
  type MemoryAdapterOptions,
  type MemoryBroker,
} from './memory/index.ts'
export type { MessageQueueOptions } from './assembly.ts'
export { MessageQueue } from './message-queue.ts'
export { Message, type MessageInit } from './message/message.ts'
export { LoggingMiddleware } from './middleware/logging.ts'
export { MessageMiddleware } from './middleware/message-middleware.ts'
export { MetricsMiddleware, type ProcessingMetrics } from './middleware/metrics.ts'
export type { Middleware, ProcessNext, SendNext } from './middleware/types.ts'
export type { IterateOptions, ReceiveOptions, RejectOptions } from './consume/receiving.ts'
export type { RequestFields, RequestOptions } from './send/request-form.ts'
export type { SendFields, SendOptions } from './send/routes.ts'
export type { BodyOf, BodySchema, InputOf } from './message/schema.ts'
export type { StandardSchemaV1 } from './message/standard-schema.ts'
export type { MessageQueueStats, ProcessingTime } from './manage/stats.ts'
export type { StopOptions, StopResult } from './stop-options.ts'
export type { ConnectionState } from './supervisor.ts'
export type { TraceIds, Tracer, TraceSpan } from './message/trace.ts'
export {
  defineQueue,
  defineTopic,
  subscription,
  type QueueRef,
  type Subscription,
  type TopicRef,
  type TypedQueue,
  type TypedTopic,
} from './message/typed.ts'
