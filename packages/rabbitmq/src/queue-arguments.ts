import { AdapterError, type QueueSettings } from '@mq/core/adapter'
import { CUT, type Inequivalence } from './errors.ts'
import { checkArguments } from './known-arguments.ts'
import type { ResolvedOptions } from './options.ts'
import type { Version } from './version.ts'

/** A queue as AMQP declares it. */
export interface QueueForm {
  durable: boolean
  autoDelete: boolean
  exclusive: boolean
  readonly arguments: Record<string, unknown>
  /** Arguments that this adapter chose by itself, by the server's version for example: another value of an existing queue is as good. */
  readonly chosen: ReadonlySet<string>
}

/** What only classic queues have. */
function mustBeClassic(settings: QueueSettings): boolean {
  return !settings.durable || settings.exclusive || settings.autoDelete || settings.maxPriority !== null
}

/**
 * Core counts, so the server must not. But a limit there is: without one 3.10 puts what is given back at the tail (with one, at its place), from
 * 4.0 on the default is 20, and -1 is taken by 3.10 too, which then drops a message the first time it comes back.
 */
const OUT_OF_REACH = 1_000_000

/** How a queue with these settings is declared. Throws MQ_UNSUPPORTED for arguments that contradict them. */
export function formOf(settings: QueueSettings, options: ResolvedOptions, version: Version): QueueForm {
  const given = settings.arguments
  checkArguments(given)
  const asked = given['x-queue-type']
  if (asked === 'stream')
    throw new AdapterError(
      'MQ_UNSUPPORTED',
      'x-queue-type "stream": a stream keeps what is acknowledged; declare a quorum queue',
    )
  if (asked === 'quorum' && mustBeClassic(settings))
    throw new AdapterError(
      'MQ_UNSUPPORTED',
      'x-queue-type "quorum" with durable: false, exclusive, autoDelete or maxPriority: only classic queues have these',
    )
  if ('x-queue-mode' in given && version.atLeast(4, 3))
    throw new AdapterError('MQ_UNSUPPORTED', 'x-queue-mode: RabbitMQ 4.3 refuses it; leave it out')
  const type = asked ?? (mustBeClassic(settings) ? 'classic' : options.queueType)
  const quorum = type === 'quorum'
  const chosen = new Set<string>()
  const args: Record<string, unknown> = { 'x-queue-type': type }
  const limited = settings.maxLength !== null || settings.maxLengthBytes !== null

  if (settings.maxLength !== null) args['x-max-length'] = settings.maxLength
  if (settings.maxLengthBytes !== null) args['x-max-length-bytes'] = settings.maxLengthBytes
  if (settings.overflow === 'reject' && (limited || quorum)) args['x-overflow'] = 'reject-publish'
  else if (limited) args['x-overflow'] = 'drop-head'
  if (!limited) chosen.add('x-overflow')
  if (settings.messageTtl !== null) args['x-message-ttl'] = settings.messageTtl
  if (settings.expires !== null) args['x-expires'] = settings.expires
  if (settings.maxPriority !== null) args['x-max-priority'] = settings.maxPriority
  if (settings.ordered) args['x-single-active-consumer'] = true
  if (settings.deadLetterQueue !== null) {
    args['x-dead-letter-exchange'] = ''
    args['x-dead-letter-routing-key'] = settings.deadLetterQueue
    // At least once needs a queue that refuses instead of dropping.
    if (quorum && args['x-overflow'] === 'reject-publish') args['x-dead-letter-strategy'] = 'at-least-once'
    chosen.add('x-dead-letter-strategy')
  }
  if (quorum && settings.replicationFactor > 1)
    args['x-quorum-initial-group-size'] = settings.replicationFactor
  if (quorum) args['x-delivery-limit'] = OUT_OF_REACH
  chosen.add('x-delivery-limit')
  for (const [name, value] of Object.entries(given)) {
    if (value === null) delete args[name]
    else args[name] = value
    chosen.delete(name)
  }
  return {
    // From 4.3 on only exclusive queues may be transient: more is given than was asked for.
    durable: settings.durable || (!settings.exclusive && version.atLeast(4, 3)),
    autoDelete: settings.autoDelete,
    exclusive: settings.exclusive,
    arguments: args,
    chosen,
  }
}

/** Makes a form agree with what an existing queue is said to be. */
export function adopt(form: QueueForm, { argument, current }: Inequivalence): boolean {
  if (isFlag(argument)) {
    form[FLAGS[argument]] = current === true
    return true
  }
  if (form.arguments[argument] === current) return false
  if (current === undefined) delete form.arguments[argument]
  else form.arguments[argument] = current
  return true
}

/** What an existing queue may be like of which the server's text was cut: the other of two, or none, which is also shorter to say. `CUT`: who knows. */
export function supposed(form: QueueForm, argument: string): unknown {
  if (isFlag(argument)) return !form[FLAGS[argument]]
  if (argument in form.arguments) return undefined
  return argument === 'x-single-active-consumer' ? true : CUT
}

/** The value that a form has. */
export function valueIn(form: QueueForm, argument: string): unknown {
  return isFlag(argument) ? form[FLAGS[argument]] : form.arguments[argument]
}

const FLAGS = { durable: 'durable', auto_delete: 'autoDelete', exclusive: 'exclusive' } as const

function isFlag(argument: string): argument is keyof typeof FLAGS {
  return argument in FLAGS
}

/** Argument → the portable setting that it stands for. */
const FIELDS: Readonly<Record<string, keyof QueueSettings>> = {
  durable: 'durable',
  auto_delete: 'autoDelete',
  exclusive: 'exclusive',
  'x-max-length': 'maxLength',
  'x-max-length-bytes': 'maxLengthBytes',
  'x-overflow': 'overflow',
  'x-message-ttl': 'messageTtl',
  'x-expires': 'expires',
  'x-max-priority': 'maxPriority',
  'x-single-active-consumer': 'ordered',
  'x-dead-letter-routing-key': 'deadLetterQueue',
  'x-quorum-initial-group-size': 'replicationFactor',
}

/** The name under which a user knows an argument. */
export function fieldOf(argument: string): string {
  return FIELDS[argument] ?? argument
}

/** An argument's value as the value of its setting. `undefined`: not known. */
export function settingOf(argument: string, value: unknown): unknown {
  if (value === CUT) return undefined
  switch (argument) {
    case 'x-overflow':
      return value === undefined || value === 'drop-head' ? 'drop-oldest' : 'reject'
    case 'x-single-active-consumer':
    case 'durable':
    case 'auto_delete':
    case 'exclusive':
      return value === true
    case 'x-queue-type':
      return value ?? 'classic'
    case 'x-quorum-initial-group-size':
      return value ?? 1
    default:
      return value ?? null
  }
}

/** The settings that differences reveal. */
export function revealed(differences: readonly Inequivalence[]): Partial<QueueSettings> {
  const out: Record<string, unknown> = {}
  for (const { argument, current } of differences) {
    const field = FIELDS[argument]
    if (field !== undefined && current !== CUT) out[field] = settingOf(argument, current)
  }
  return out
}
