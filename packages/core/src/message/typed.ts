import type { Target } from '../adapter/contract.ts'
import { checkObject, checkOptions } from '../check-options.ts'
import { QueueConfig, type QueueConfigInput } from '../config/queue-config.ts'
import { ValidationError } from '../errors.ts'
import { checkQueueName } from './names.ts'
import { keyOf } from './target.ts'
import { validatorOf, type BodyOf, type BodySchema, type InputOf, type Validate } from './schema.ts'

const BRAND = Symbol.for('@mq/typed')

/** A queue whose bodies have a schema: checked by the compiler and at run time, on send and on arrival. `In`: before the schema changes them. */
export interface TypedQueue<Body = unknown, In = Body> {
  readonly name: string
  readonly config: QueueConfig
  readonly schema: BodySchema
  readonly [BRAND]: 'queue'
  /** Never set, as `input`: carries the type of the body. */
  readonly body?: Body
  readonly input?: In
}

/** A topic whose bodies have a schema. */
export interface TypedTopic<Body = unknown, In = Body> {
  readonly name: string
  readonly schema: BodySchema
  readonly [BRAND]: 'topic'
  readonly body?: Body
  readonly input?: In
}

/** One subscription of a topic, where a queue is expected. */
export interface Subscription<Body = unknown> {
  readonly topic: string
  readonly name: string
  readonly schema: BodySchema | undefined
  readonly [BRAND]: 'subscription'
  readonly body?: Body
}

/** What the `queue` argument of an operation takes. */
export type QueueRef<Body = unknown, In = unknown> = string | TypedQueue<Body, In> | Subscription<Body>
export type TopicRef<Body = unknown, In = unknown> = string | TypedTopic<Body, In>

/** Defines a queue with a schema, and the configuration it is declared with on first use. Does no I/O. Throws for a schema that is none. */
export function defineQueue<S extends BodySchema>(
  name: string,
  config: Omit<QueueConfigInput, 'name'> & { schema: S },
): TypedQueue<BodyOf<S>, InputOf<S>> {
  const { schema, ...rest } = checkObject(config, 'defineQueue')
  validatorOf(schema)
  return {
    name: checkQueueName(name),
    config: QueueConfig.parse({ ...rest, name }),
    schema,
    [BRAND]: 'queue',
  }
}

/** Defines a topic with a schema. Does no I/O. Throws for a schema that is none. */
export function defineTopic<S extends BodySchema>(
  name: string,
  config: { schema: S },
): TypedTopic<BodyOf<S>, InputOf<S>> {
  checkOptions(config, ['schema'], 'defineTopic')
  validatorOf(config.schema)
  return { name: checkQueueName(name, 'topic name'), schema: config.schema, [BRAND]: 'topic' }
}

/** Names one subscription of a topic, to consume, size, purge or redrive it like a queue. */
export function subscription<Body = unknown>(topic: TopicRef<Body>, name: string): Subscription<Body> {
  const resolved = resolveTopic(topic)
  return {
    topic: resolved.name,
    name: checkQueueName(name, 'subscription name'),
    schema: resolved.schema,
    [BRAND]: 'subscription',
  }
}

export interface ResolvedQueue {
  readonly target: Target
  /** Key of maps, and what errors and stats call it: `orders`, or `orders/billing` for a subscription. */
  readonly label: string
  readonly config: QueueConfig | undefined
  readonly validate: Validate | undefined
}

/** A queue argument made uniform. Throws `ValidationError` for anything that is none. */
export function resolveQueue(ref: QueueRef): ResolvedQueue {
  if (typeof ref === 'string') {
    return { target: { queue: checkQueueName(ref) }, label: ref, config: undefined, validate: undefined }
  }
  const kind: unknown = (ref as { [BRAND]?: unknown } | null | undefined)?.[BRAND]
  if (kind === 'queue') {
    const { name, config, schema } = ref as TypedQueue
    return { target: { queue: name }, label: name, config, validate: validatorOf(schema) }
  }
  if (kind === 'subscription') {
    const { topic, name, schema } = ref as Subscription
    const target = { topic, subscription: name }
    return {
      target,
      label: keyOf(target),
      config: undefined,
      validate: schema === undefined ? undefined : validatorOf(schema),
    }
  }
  throw new ValidationError('A queue is given by its name, by defineQueue(…) or by subscription(topic, name)')
}

export function resolveTarget(target: Target): ResolvedQueue {
  return resolveQueue('queue' in target ? target.queue : subscription(target.topic, target.subscription))
}

export function resolveTopic(ref: TopicRef): {
  name: string
  schema: BodySchema | undefined
  validate: Validate | undefined
} {
  if (typeof ref === 'string')
    return { name: checkQueueName(ref, 'topic name'), schema: undefined, validate: undefined }
  if ((ref as { [BRAND]?: unknown } | null | undefined)?.[BRAND] === 'topic') {
    return { name: ref.name, schema: ref.schema, validate: validatorOf(ref.schema) }
  }
  throw new ValidationError('A topic is given by its name or by defineTopic(…)')
}

/** Whether the first argument of `send` is a destination (the short form), and not a message. */
export function isQueueRef(value: unknown): value is QueueRef {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && BRAND in value)
}
