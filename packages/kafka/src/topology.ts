import { performance } from 'node:perf_hooks'
import {
  AdapterError,
  type Declaration,
  type DeclareTarget,
  type QueueSettings,
  type Target,
} from '@mq/core/adapter'
import type { Connection } from './connection.ts'
import { compare, compareTopic, conflict, partitionsOf } from './differences.ts'
import { classify } from './errors.ts'
import type { Consumer } from './group/consumer-contract.ts'
import { allGroups, commitFor, committedOf, deleteGroup, hasMembers } from './group/groups.ts'
import { groupPrefix, isTarget, nameOf, type Names, namesOf, topicOf } from './names.ts'
import { offsetsOf } from './log/offsets.ts'
import { notFound } from './publisher.ts'
import { registrationOf } from './registration.ts'
import { type Registered, type Registry, removalsKey } from './registry.ts'
import { configOf, createTopics, deleteTopic, keepingConfig, partsOf, passedOn } from './topics.ts'
import { notesAtStart } from './group/notes.ts'

/** Somebody else may declare a queue anew, or set its topic otherwise: what is known of that is asked again after so long. */
const KNOWN_MS = 5_000

/** Of a declaration, under somebody who deletes the same. */
const TRIES = 10

const COMPACTED =
  'the topic is compacted: of messages with one key that wait, the last may be all that is left; set its cleanup.policy to delete'

export interface Topology {
  declare(target: DeclareTarget, declaration: Declaration): Promise<Partial<QueueSettings>>
  remove(target: DeclareTarget): Promise<void>
  /** Pattern of a subscription; `undefined` for queues. Rejects with MQ_QUEUE_NOT_FOUND when the target does not exist. */
  find(target: Target): Promise<string | undefined>
  /** Makes a topic unless it is there. */
  ensureTopic(
    name: string,
    partitions: number,
    replicas: number,
    config: Readonly<Record<string, string>>,
  ): Promise<void>
  /** Makes the topic that keeps what waits for this one. */
  ensureLater(later: string, main: string): Promise<void>
  /** How long a dead-letter queue keeps what it takes, in ms; `null`: for ever. May be some seconds old. */
  retentionMs(target: Target): Promise<number | null>
  /** Whether what was consumed of a topic may be deleted: its own retention keeps everything for ever. May be some seconds old. */
  keepsForEver(topic: string): Promise<boolean>
}

export interface TopologySetup {
  connection(): Connection
  registry(): Registry
  /** The consumer of this process, if there is one. */
  consumerOf(target: Target): Consumer | undefined
  /** A topic was made that consumers of this process have to read. */
  made(topic: string): void
}

export function createTopology(setup: TopologySetup): Topology {
  /** Topics that were warned of. */
  const compacted = new Set<string>()
  const forEver = new Map<string, { readonly answer: Promise<boolean>; readonly until: number }>()
  const making = new Map<string, Promise<void>>()

  const names = (target: Target): Names => namesOf(target, setup.connection().options.groupId)

  const ensureTopic: Topology['ensureTopic'] = async (name, partitions, replicas, config) => {
    const connection = setup.connection()
    if ((await connection.topic(name)) === null)
      await createTopics(connection, [{ name, partitions, replicas, config }])
  }

  const makeLater = async (later: string, main: string): Promise<void> => {
    const connection = setup.connection()
    if ((await connection.topic(later)) !== null) return
    const info = await connection.topic(main)
    if (info === null) return
    const replicas = Math.max(1, info.replicas)
    const config = keepingConfig(await passedOn(connection, main, replicas))
    await ensureTopic(later, info.leaders.length, replicas, config)
    setup.made(later)
  }
  const ensureLater: Topology['ensureLater'] = (later, main) => {
    let pending = making.get(later)
    if (pending === undefined) {
      pending = makeLater(later, main).finally(() => making.delete(later))
      making.set(later, pending)
    }
    return pending
  }

  const find: Topology['find'] = async (target) => {
    const connection = setup.connection()
    const { main } = names(target)
    const known = (await connection.topic(main)) ?? (await connection.topic(main, true))
    const registered = 'subscription' in target ? await setup.registry().get(keyOf(target)) : undefined
    if (known === null || ('subscription' in target && registered === undefined))
      throw notFound(nameOf(target))
    return registered?.pattern
  }

  const retention = new Map<string, { readonly ms: Promise<number | null>; readonly until: number }>()
  const retentionMs: Topology['retentionMs'] = (target) => {
    const key = keyOf(target)
    const now = performance.now()
    const known = retention.get(key)
    if (known !== undefined && known.until > now) return known.ms
    const ms = setup
      .registry()
      .get(key)
      .then(
        (entry) => entry?.settings.messageTtl ?? null,
        (error: unknown) => {
          // Whoever may not look does not know of any: what failed for good must not come again and again for that.
          if (classify(error).code === 'MQ_AUTHENTICATION') return null
          throw error
        },
      )
    ms.catch(() => retention.delete(key))
    retention.set(key, { ms, until: now + KNOWN_MS })
    return ms
  }

  /**
   * History is not delivered: it begins where the topic ends now, or where the first of those saw the end that make it at the same time, since
   * another may be done, and something published, before this one has looked. The entry comes last: it says that all is there.
   */
  const makeSubscription = async (
    target: Extract<Target, { topic: string }>,
    entry: Registered,
  ): Promise<Registered> => {
    const connection = setup.connection()
    const { main, group } = names(target)
    const parts = partsOf(await connection.topics([main], true), [main])
    if (parts[main] === undefined) throw notFound(`topic "${main}"`)
    const ends = await offsetsOf(connection, parts)
    const starts = parts[main].map((partition) => ends.get(`${main}/${partition}`)?.high ?? 0)
    const first = await setup.registry().claim(keyOf(target), { ...entry, starts })
    if (!('starts' in first)) return first
    const { settings, pattern } = first
    const partitions = first.starts.length
    const before = await committedOf(connection, group, parts)
    const entries = first.starts.flatMap((offset, partition) =>
      before.has(`${main}/${partition}`)
        ? []
        : [{ topic: main, partition, offset, metadata: notesAtStart(offset, { pattern, partitions }) }],
    )
    // One that is consumed already was declared by somebody else at the same time.
    if (entries.length > 0 && !(await hasMembers(connection, group)))
      await commitFor(connection, group, entries)
    await setup.registry().set(keyOf(target), { settings, pattern })
    return { settings, pattern }
  }

  const declareSubscription = async (
    target: Extract<Target, { topic: string }>,
    { settings, pattern = '#', ifExists }: Declaration,
  ): Promise<Partial<QueueSettings>> => {
    const connection = setup.connection()
    const { main } = names(target)
    // Another may have deleted it.
    await connection.topic(main, true)
    await ensureTopic(
      main,
      partitionsOf(settings, connection, main),
      settings.replicationFactor,
      keepingConfig(settings.arguments),
    )
    const registered =
      (await setup.registry().get(keyOf(target))) ?? (await makeSubscription(target, { settings, pattern }))
    if (ifExists === 'compare') {
      const differences = compare(registered, settings)
      const existing = registered.pattern
      if (existing !== pattern) differences.push({ field: 'pattern', existing, requested: pattern })
      if (differences.length > 0) throw conflict(target, differences)
    }
    return registered.settings
  }

  const declareTopic = async (
    target: Exclude<DeclareTarget, { subscription: string }>,
    { settings, ifExists }: Declaration,
  ): Promise<Partial<QueueSettings>> => {
    const connection = setup.connection()
    const name = 'queue' in target ? topicOf(target.queue) : target.topic
    let info = await connection.topic(name, true)
    if (info === null) {
      const spec = {
        name,
        partitions: partitionsOf(settings, connection, name),
        replicas: settings.replicationFactor,
        config: keepingConfig({
          ...('queue' in target && (await passedOnBy(connection, target.queue, settings.replicationFactor))),
          ...settings.arguments,
        }),
      }
      const register = (made: ReadonlySet<string>): Promise<void> =>
        made.has(name)
          ? setup.registry().set(keyOf(target), { settings, pattern: undefined })
          : Promise.resolve()
      const made = await createTopics(connection, [spec], register)
      if (made.has(name)) return { ...settings, partitions: spec.partitions }
      info = await connection.topic(name)
    }
    if (info === null) throw notFound(nameOf(target))
    const registry = setup.registry()
    const key = keyOf(target)
    const registered =
      'queue' in target
        ? await registrationOf(connection, registry, key, info, settings)
        : await registry.get(key)
    const actual = { partitions: info.leaders.length, replicationFactor: info.replicas }
    if (ifExists === 'compare') {
      const differences =
        registered === undefined
          ? await compareTopic(connection, info, settings)
          : compare(registered, settings)
      if (differences.length > 0) throw conflict(target, differences)
    }
    return { ...registered?.settings, ...actual }
  }

  return {
    ensureTopic,
    ensureLater,
    find,
    retentionMs,

    async declare(target, declaration) {
      refuse(declaration.settings)
      retention.delete(keyOf(target))
      for (let tries = 1; ; tries++) {
        try {
          return 'subscription' in target
            ? await declareSubscription(target, declaration)
            : await declareTopic(target, declaration)
        } catch (error) {
          // Another deleted it meanwhile.
          if (tries >= TRIES || classify(error).code !== 'MQ_QUEUE_NOT_FOUND') throw error
        }
      }
    },

    async remove(target) {
      const connection = setup.connection()
      const { groupId } = connection.options
      const topics: string[] = []
      const groups: string[] = []
      const keys = [keyOf(target)]
      if (isTarget(target)) {
        const { main, later, group } = namesOf(target, groupId)
        if ('queue' in target) {
          topics.push(main)
          keys.push(removalsKey(main))
        }
        topics.push(later)
        groups.push(group)
        setup
          .consumerOf(target)
          ?.fail(new AdapterError('MQ_QUEUE_NOT_FOUND', `${nameOf(target)} was deleted`))
      } else {
        topics.push(target.topic)
        const prefix = groupPrefix(target.topic, groupId)
        const registered = keyOf({ ...target, subscription: '' })
        const subscriptions = new Set([
          ...(await allGroups(connection))
            .filter((group) => group.startsWith(prefix))
            .map((group) => group.slice(prefix.length)),
          ...(await setup.registry().keys(registered)).map((key) => key.slice(registered.length)),
        ])
        for (const subscription of subscriptions) {
          const one = { topic: target.topic, subscription }
          const { later, group } = namesOf(one, groupId)
          groups.push(group)
          topics.push(later)
          keys.push(keyOf(one))
          setup.consumerOf(one)?.fail(new AdapterError('MQ_QUEUE_NOT_FOUND', `${nameOf(one)} was deleted`))
        }
      }
      const end = await setup.registry().end()
      const known = await connection.topics(topics, true)
      for (const topic of topics) if (known.has(topic)) await deleteTopic(connection, topic)
      // What was committed for a topic that is gone the brokers forget by themselves, and whoever makes it anew may have joined by now.
      const waits = 'subscription' in target
      for (const group of groups) await deleteGroup(connection, group, waits)
      for (const topic of topics) forEver.delete(topic)
      for (const key of keys) retention.delete(key)
      await setup.registry().remove(keys, end)
    },

    keepsForEver(topic) {
      const now = performance.now()
      const known = forEver.get(topic)
      if (known !== undefined && known.until > now) return known.answer
      const connection = setup.connection()
      const answer = configOf(connection, topic).then(
        (config) => {
          const policy = config.get('cleanup.policy') ?? 'delete'
          if (policy.includes('compact') && !compacted.has(topic)) {
            compacted.add(topic)
            connection.options.logger.warn({ topic }, COMPACTED)
          }
          return config.get('retention.ms') === '-1' && policy === 'delete'
        },
        () => {
          forEver.delete(topic)
          return false
        },
      )
      forEver.set(topic, { answer, until: now + KNOWN_MS })
      return answer
    },
  }
}

function keyOf(target: DeclareTarget): string {
  if ('queue' in target) return `queue:${target.queue}`
  // No name holds a colon.
  return 'subscription' in target
    ? `subscription:${target.topic}:${target.subscription}`
    : `topic:${target.topic}`
}

/** What a dead-letter queue has from the queue (or the topic of the subscription) that it is named after. */
async function passedOnBy(
  connection: Connection,
  queue: string,
  replicas: number,
): Promise<Record<string, string>> {
  if (!queue.endsWith('.dlq')) return {}
  // Names of topics and subscriptions may hold dots themselves.
  for (let of = queue; of.includes('.');) {
    of = of.slice(0, of.lastIndexOf('.'))
    const topic = topicOf(of)
    if (topic !== '' && (await connection.topic(topic)) !== null) return passedOn(connection, topic, replicas)
  }
  return {}
}

function refuse(settings: QueueSettings): void {
  const problems: string[] = []
  if (settings.exclusive) problems.push('exclusive')
  if (settings.autoDelete) problems.push('autoDelete')
  if (settings.maxLength !== null) problems.push('maxLength')
  if (settings.maxLengthBytes !== null) problems.push('maxLengthBytes')
  if (settings.maxPriority !== null) problems.push('maxPriority')
  if (settings.expires !== null) problems.push('x-expires')
  // Kafka's own settings have no such names: these are RabbitMQ's.
  problems.push(...Object.keys(settings.arguments).filter((name) => name.startsWith('x-')))
  if (problems.length > 0)
    throw new AdapterError('MQ_UNSUPPORTED', `Kafka cannot honour ${problems.join(', ')}`)
}
