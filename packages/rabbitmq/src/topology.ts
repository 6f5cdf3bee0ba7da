import { performance } from 'node:perf_hooks'
import type { Channel } from 'amqplib'
import {
  AdapterError,
  type Declaration,
  type DeclareTarget,
  type Difference,
  plainSettings,
  type QueueSettings,
  type Target,
} from '@mq/core/adapter'
import { conflict } from './conflict.ts'
import type { Connection, Role } from './connection.ts'
import type { Delays } from './delays.ts'
import { CUT, inequivalence, type Inequivalence, locked, replyCode } from './errors.ts'
import { partitionQueue, queueOf } from './names.ts'
import { createOneMaker, madeAgain, type OneMaker } from './one-maker.ts'
import type { ResolvedOptions } from './options.ts'
import { adopt, fieldOf, formOf, revealed, settingOf, supposed, valueIn } from './queue-arguments.ts'
import { createTopics } from './topics.ts'

/** What this connection knows of a queue. */
export interface Known {
  readonly partitions: number
  /** Single active consumer: `basic.get` is refused. */
  readonly ordered: boolean
  /** Goes with its last consumer, one that only waits for a message included. */
  readonly autoDelete: boolean
  /** Bound to the consuming socket: nobody else may touch it. */
  readonly exclusive: boolean
  /** Whether it may refuse messages because it is full; `undefined`: not known. */
  readonly limited: boolean | undefined
  /** Where the server itself puts what is rejected; `null`: nowhere, or it is not known. */
  readonly deadLetterQueue: string | null
  /** It keeps what is acknowledged, takes nothing back, and the server ends the connection of who gets or purges. Found out when it is declared here. */
  readonly stream: boolean
}

export interface Topology {
  declare(target: DeclareTarget, declaration: Declaration): Promise<Partial<QueueSettings>>
  remove(target: DeclareTarget): Promise<void>
  purge(target: Target): Promise<number>
  size(target: Target): Promise<number>
  /** What is known of a queue without asking. */
  peek(queue: string): Known | undefined
  /** Whether a subscription of the topic that was declared here may refuse messages because it is full. */
  limits(topic: string): boolean
  /** What there is to know of a queue that exists; asks once per connection. Rejects as not found. */
  inspect(queue: string): Promise<Known>
  /** Whether a queue is still there, asked anew; what is known of it stays so. Rejects as not found. */
  recheck(queue: string): Promise<void>
  /** Whether a queue that holds messages may be full, asked anew: others may have made it with a limit that it had not. */
  hasLimit(queue: string): Promise<boolean>
  /** Whether a topic's exchange exists; asks once per connection. Rejects as not found. */
  topic(name: string): Promise<void>
  /** It is missing after all. */
  forget(name: string): void
}

/** What topics need of queues. */
export interface Queues extends OneMaker {
  exists(queue: string): Promise<boolean>
  /** On a channel of the socket that may touch the queue. */
  on<T>(queue: string, call: (channel: Channel) => Promise<T>): Promise<T>
  declare(
    label: string,
    queue: string,
    settings: QueueSettings,
    ifExists: Declaration['ifExists'],
  ): Promise<Partial<QueueSettings>>
  makeRegister(queue: string): Promise<void>
  /** One without partitions. */
  remove(queue: string): Promise<void>
  peek(queue: string): Known | undefined
}

/** How long a server goes on telling consumers of a queue that it is gone. */
const TELLING_MS = 100
const MOST_TELLING_MS = 2_000

/** Partitions behind the last one found that are looked for. */
const MOST_MISSING = 2

/** More differences than arguments there are. */
const MOST_DIFFERENCES = 24

export function createTopology(
  connection: Connection,
  options: ResolvedOptions,
  /** Stores a record in a queue, confirmed. */
  record: (queue: string, text: string) => Promise<void>,
  delays: Delays,
): Topology {
  const queues = new Map<string, Known>()
  /** When queues were found to be gone. */
  const gone = new Map<string, number>()
  /** Of another user, or with too long a name: there, and not all is said about what they are like. */
  const unseen = new Set<string>()

  const roleOf = (queue: string): Role => (queues.get(queue)?.exclusive === true ? 'consume' : 'admin')
  const on = <T>(queue: string, call: (channel: Channel) => Promise<T>): Promise<T> =>
    connection.admin(call, roleOf(queue))

  const exists = async (queue: string): Promise<boolean> => {
    try {
      await on(queue, (channel) => channel.checkQueue(queue))
      return true
    } catch (error) {
      if (replyCode(error) === 404) return false
      throw error
    }
  }

  const reaches = (queue: string, role: Role): Promise<boolean> =>
    connection
      .admin((channel) => channel.checkQueue(queue), role)
      .then(
        () => true,
        () => false,
      )

  const maker = createOneMaker(connection, exists)

  /** Up to the last one that is there: somebody may have deleted one of them alone. `atLeast`: how many there should be. */
  const countPartitions = async (queue: string, atLeast: number): Promise<number> => {
    let count = 1
    for (let n = 1; n < Math.max(atLeast, count + MOST_MISSING); n++)
      if (await exists(partitionQueue(queue, n))) count = n + 1
    return count
  }

  /** Declares one physical queue, whatever it is like; answers in what it differs. */
  const settle = async (queue: string, settings: QueueSettings): Promise<Inequivalence[]> => {
    const form = formOf(settings, options, connection.version)
    const { chosen } = form
    const differences = new Map<string, Inequivalence>()
    unseen.delete(queue)
    let role: Role = settings.exclusive ? 'consume' : roleOf(queue)
    for (let i = 0; i < MOST_DIFFERENCES; i++) {
      try {
        await connection.admin(
          (channel) => channel.assertQueue(queue, { ...form, arguments: { ...form.arguments } }),
          role,
        )
        break
      } catch (error) {
        let found = inequivalence(error)
        if (replyCode(error) === 405) {
          // Said as well of one that is ours, or nobody's, and was asked for otherwise.
          role = form.exclusive ? 'admin' : 'consume'
          if (differences.has('exclusive') || !(await reaches(queue, role))) throw locked(queue, error)
          found = { argument: 'exclusive', received: form.exclusive, current: !form.exclusive }
        }
        // Without the right to configure it can still be used, if somebody else made it.
        if (replyCode(error) === 403 && (await exists(queue).catch(() => false))) {
          unseen.add(queue)
          break
        }
        if (found === null) throw error
        const { argument } = found
        const current = found.current === CUT ? supposed(form, argument) : found.current
        const received = differences.get(argument)?.received ?? valueIn(form, argument)
        if (!chosen.has(argument)) differences.set(argument, { argument, received, current })
        if (current === CUT) {
          unseen.add(queue)
          break
        }
        if (!adopt(form, { argument, received, current })) throw error
      }
    }
    return [...differences.values()]
  }

  /**
   * A queue that is made again at once gets no consumers: the server is still telling those of the old one, by its name, that it is gone, and
   * then never does (3.10: 30 ms).
   */
  const afterGone = async (queue: string): Promise<void> => {
    const since = gone.get(queue)
    if (since === undefined) return
    const left = since + TELLING_MS - performance.now()
    if (left > 0) await new Promise<void>((resolve) => setTimeout(resolve, left))
    gone.delete(queue)
  }

  /** A queue that takes dead letters is made before its first one: what the server itself dead-letters would be lost without it. */
  const takeDeadLetters = async (queue: string): Promise<void> => {
    if (queues.has(queue)) return
    const differences = await maker.make(queue, () => settle(queue, plainSettings))
    const { ordered = false, autoDelete = false, exclusive = false, ...rest } = revealed(differences)
    if (ordered) queues.set(queue, { ...(await inspect(queue)), ordered })
    else {
      const limited = isLimited({ ...plainSettings, ...rest })
      const stream = isStream(differences)
      const known = { partitions: 1, ordered, autoDelete, exclusive, limited, stream }
      queues.set(queue, { ...known, deadLetterQueue: null })
    }
  }

  const declareQueue = async (
    label: string,
    queue: string,
    asked: QueueSettings,
    ifExists: Declaration['ifExists'],
  ): Promise<Partial<QueueSettings>> => {
    await afterGone(queue)
    const named = asked.deadLetterQueue
    const settings = named === null ? asked : { ...asked, deadLetterQueue: queueOf({ queue: named }) }
    let { partitions } = settings
    const found: Difference[] = []
    if (settings.ordered && (await exists(queue))) {
      partitions = await countPartitions(queue, settings.partitions)
      if (partitions !== settings.partitions)
        found.push({ field: 'partitions', existing: partitions, requested: settings.partitions })
    }
    if (ifExists === 'compare' && found.length > 0) throw conflict(label, found)
    // Partition 0 last: when it is there, the others are.
    if (settings.ordered)
      for (let n = partitions - 1; n > 0; n--) await settle(partitionQueue(queue, n), settings)
    const differences = await settle(queue, settings)
    for (const { argument, received, current } of differences)
      found.push({
        field: argument === 'x-dead-letter-exchange' ? argument : fieldOf(argument),
        existing: settingOf(argument, current),
        requested: settingOf(argument, received),
      })
    if (ifExists === 'compare' && found.length > 0) throw conflict(label, found)
    const inForce = { ...settings, ...revealed(differences) }
    if (inForce.ordered && !settings.ordered) {
      partitions = await countPartitions(queue, 1)
      for (let n = 1; n < partitions; n++) await settle(partitionQueue(queue, n), inForce)
    }
    if (!inForce.ordered) partitions = 1
    for (let n = 0; n < partitions; n++) await delays.bind(partitionQueue(queue, n))
    queues.set(queue, {
      partitions,
      ordered: inForce.ordered,
      autoDelete: inForce.autoDelete,
      exclusive: inForce.exclusive,
      limited: isLimited(inForce),
      deadLetterQueue:
        unseen.has(queue) || found.some(({ field }) => field === 'x-dead-letter-exchange')
          ? null
          : inForce.deadLetterQueue,
      stream: isStream(differences),
    })
    const { deadLetterQueue } = inForce
    // After it: see what a server that is killed forgets, in `delays.ts`.
    if (deadLetterQueue !== null) await takeDeadLetters(deadLetterQueue)
    return { ...revealed(differences), ...(inForce.ordered && { partitions }) }
  }

  const removeQueue = async (queue: string): Promise<void> => {
    const known = queues.get(queue)
    const partitions = known?.ordered === false ? 1 : await countPartitions(queue, known?.partitions ?? 1)
    // The queue itself last: whoever is interrupted finds what is left by it.
    for (let n = partitions - 1; n > 0; n--) await removeOne(partitionQueue(queue, n), roleOf(queue))
    await removeWhole(queue)
  }

  const removeWhole = async (queue: string): Promise<void> => {
    const role = roleOf(queue)
    queues.delete(queue)
    await removeOne(queue, role)
  }

  const removeOne = async (physical: string, role: Role): Promise<void> => {
    await connection.admin((channel) => channel.deleteQueue(physical), role)
    await delays.remove(physical)
  }

  /** Others may make it again as soon as this resolves. A server that is slow to delete is as slow to tell. */
  const untilTold = async (removing: Promise<void>): Promise<void> => {
    const since = performance.now()
    await removing
    const telling = Math.max(TELLING_MS, 4 * (performance.now() - since))
    await new Promise<void>((resolve) => setTimeout(resolve, Math.min(telling, MOST_TELLING_MS)))
  }

  const inspect = async (queue: string): Promise<Known> => {
    const known = queues.get(queue)
    if (known !== undefined) return known
    await connection.admin((channel) => channel.checkQueue(queue))
    const partitions = await countPartitions(queue, 1)
    const found: Known = {
      partitions,
      ordered: partitions > 1,
      autoDelete: false,
      exclusive: false,
      limited: undefined,
      deadLetterQueue: null,
      stream: false,
    }
    queues.set(queue, found)
    return found
  }

  const forget = (name: string): void => {
    if (queues.delete(name)) gone.set(name, performance.now())
    topics.forget(name)
  }

  const overPartitions = async (
    target: Target,
    call: (channel: Channel, queue: string) => Promise<number>,
  ): Promise<number> => {
    const queue = queueOf(target)
    const { partitions } = await inspect(queue)
    let sum = 0
    for (let n = 0; n < partitions; n++)
      sum += await on(queue, (channel) => call(channel, partitionQueue(queue, n)))
    return sum
  }

  const queuesOf: Queues = {
    exists,
    on,
    declare: declareQueue,
    async makeRegister(name) {
      const settings = { ...plainSettings, maxLength: 100_000, overflow: 'drop-oldest' } as const
      await maker.make(name, () => settle(name, settings))
    },
    remove: removeWhole,
    ...maker,
    peek: (queue) => queues.get(queue),
  }
  const topics = createTopics(connection, queuesOf, delays, record)

  return {
    async declare(target, declaration) {
      if ('subscription' in target) return topics.subscribe(target, declaration)
      if ('queue' in target) {
        const { settings, ifExists } = declaration
        const declare = () => declareQueue(target.queue, queueOf(target), settings, ifExists)
        return settings.exclusive ? declare() : madeAgain(() => maker.make(queueOf(target), declare))
      }
      await topics.declare(target.topic)
      return {}
    },
    async remove(target) {
      if ('queue' in target) {
        const queue = queueOf(target)
        await untilTold(maker.alone(queue, () => removeQueue(queue)))
      } else
        await untilTold('subscription' in target ? topics.unsubscribe(target) : topics.remove(target.topic))
    },
    async purge(target) {
      refuseStream(queueOf(target), await inspect(queueOf(target)))
      return overPartitions(target, async (channel, queue) => (await channel.purgeQueue(queue)).messageCount)
    },
    size: (target) =>
      overPartitions(target, async (channel, queue) => (await channel.checkQueue(queue)).messageCount),
    peek: (queue) => queues.get(queue),
    limits: topics.limits,
    inspect,
    async hasLimit(queue) {
      const known = await inspect(queue)
      if ((await on(queue, (channel) => channel.checkQueue(queue))).messageCount === 0) return false
      const limited = isLimited({ ...plainSettings, ...revealed(await settle(queue, plainSettings)) })
      queues.set(queue, { ...known, limited })
      return limited
    },
    async recheck(queue) {
      if (!(await exists(queue))) {
        forget(queue)
        throw new AdapterError('MQ_QUEUE_NOT_FOUND', `queue "${queue}" does not exist`)
      }
    },
    topic: topics.check,
    forget,
  }
}

function isStream(differences: readonly Inequivalence[]): boolean {
  return differences.some(({ argument, current }) => argument === 'x-queue-type' && current === 'stream')
}

/** What is sent to a stream is stored there all the same. */
export function refuseStream(queue: string, { stream }: Known): void {
  if (!stream) return
  const text = `"${queue}" is a stream: it keeps what is acknowledged, and takes nothing back. Consume a quorum queue`
  throw new AdapterError('MQ_UNSUPPORTED', text)
}

function isLimited({ maxLength, maxLengthBytes, overflow }: QueueSettings): boolean {
  return (maxLength !== null || maxLengthBytes !== null) && overflow === 'reject'
}
