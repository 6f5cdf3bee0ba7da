import { describe, expect, it } from '@jest/globals'
import { MessageQueueConfig } from '../../src/config/message-queue-config.ts'
import { QueueConfig } from '../../src/config/queue-config.ts'
import { deadLetterQueueOf, isDeadLetterQueue, queueSettings } from '../../src/config/queue-settings.ts'
import { pathsOf, problemsOf } from './refusals.ts'

const defaults = {
  name: 'q',
  durable: true,
  autoDelete: false,
  exclusive: false,
  maxLength: null,
  maxLengthBytes: null,
  overflow: 'reject',
  messageTtl: null,
  maxPriority: null,
  ordered: false,
  partitions: 1,
  replicationFactor: 1,
  deadLetterQueue: null,
  maxRedeliveries: 20,
  deduplicationWindowMs: null,
  arguments: {},
}

describe('QueueConfig.parse', () => {
  it('fills in every default', () => {
    expect(QueueConfig.parse({ name: 'q' })).toEqual(defaults)
  })

  it.each<[object, object]>([
    [{ 'x-message-ttl': 5 }, { messageTtl: 5 }],
    [
      { 'x-max-length': 5, 'x-max-length-bytes': 6 },
      { maxLength: 5, maxLengthBytes: 6 },
    ],
    [{ 'x-max-priority': 9 }, { maxPriority: 9 }],
    [{ 'x-overflow': 'drop-head' }, { overflow: 'drop-oldest' }],
    [{ 'x-overflow': 'reject-publish' }, { overflow: 'reject' }],
    [{ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }, { deadLetterQueue: 'dead' }],
    [{ 'x-expires': 5 }, { arguments: { 'x-expires': 5 } }],
    [
      { 'x-queue-type': 'quorum', n: [1, { a: null }] },
      { arguments: { 'x-queue-type': 'quorum', n: [1, { a: null }] } },
    ],
  ])('folds the arguments %j into fields', (args, expected) => {
    const parsed = QueueConfig.parse({ name: 'q', arguments: args })
    expect(parsed).toEqual({ ...defaults, ...expected })
    expect(QueueConfig.parse(parsed)).toEqual(parsed)
  })

  it.each<[object, string[]]>([
    [{ arguments: { 'x-message-ttl': 5 }, messageTtl: 6 }, ['arguments.x-message-ttl']],
    [{ arguments: { 'x-overflow': 'drop-head' }, overflow: 'reject' }, ['arguments.x-overflow']],
    [{ arguments: { 'x-overflow': 'reject-publish-dlx' } }, ['arguments.x-overflow']],
    [
      { arguments: { 'x-message-ttl': '5', 'x-max-priority': 256, 'x-expires': 0 } },
      ['arguments.x-message-ttl', 'arguments.x-max-priority', 'arguments.x-expires'],
    ],
    [
      { arguments: { 'x-dead-letter-exchange': 'dlx', 'x-dead-letter-routing-key': 'd' } },
      ['arguments.x-dead-letter-exchange'],
    ],
    [{ arguments: { 'x-dead-letter-exchange': '' } }, ['arguments.x-dead-letter-routing-key']],
    [{ arguments: { 'x-dead-letter-routing-key': 'd' } }, ['arguments.x-dead-letter-exchange']],
    [
      { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'd' }, deadLetterQueue: 'e' },
      ['arguments.x-dead-letter-routing-key'],
    ],
    [{ arguments: { f: () => 1, n: Number.NaN } }, ['arguments.f', 'arguments.n']],
    [{ arguments: [] }, ['arguments']],
    [{ deadLetterQueue: 'q' }, ['deadLetterQueue']],
    [{ deadLetterQueue: 'a b' }, ['deadLetterQueue']],
    [
      { maxPriority: 0, maxLength: 0, messageTtl: 0, partitions: 0 },
      ['maxLength', 'messageTtl', 'maxPriority', 'partitions'],
    ],
    [{ max_length: 4 }, ['max_length']],
    [{ overflow: 'drop-head' }, ['overflow']],
  ])('refuses %j', (fields, paths) => {
    expect(pathsOf(() => QueueConfig.parse({ name: 'q', ...fields }))).toEqual(paths)
  })

  it('accepts an argument that says the same as its field', () => {
    expect(QueueConfig.parse({ name: 'q', messageTtl: 5, arguments: { 'x-message-ttl': 5 } })).toMatchObject({
      messageTtl: 5,
    })
  })

  it.each([
    [undefined],
    [{}],
    [{ name: '' }],
    [{ name: '.q' }],
    [{ name: 'a/b' }],
    [{ name: 'x'.repeat(201) }],
    [{ name: 4 }],
  ])('needs a name: %j', (input) => {
    expect(problemsOf(() => QueueConfig.parse(input))).toMatchObject([
      { path: 'name', expected: expect.stringContaining('a queue name: 1-200') },
    ])
  })

  it('survives an argument that contains itself', () => {
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    expect(pathsOf(() => QueueConfig.parse({ name: 'q', arguments: { loop } }))).toEqual(['arguments.loop'])
  })
})

describe('queueSettings', () => {
  const settings = (queue: object | undefined, config: object = {}, name = 'q', ofDeadLetters = false) =>
    queueSettings(
      name,
      queue && QueueConfig.parse({ name, ...queue }),
      MessageQueueConfig.parse(config),
      ofDeadLetters,
    )

  it('decides every field', () => {
    const { name, ...rest } = defaults
    expect(settings(undefined)).toEqual({ ...rest, expires: null, deadLetterQueue: `${name}.dlq` })
  })

  it.each<[string, object | undefined, object, object]>([
    [
      'the queue first',
      { durable: true, maxLength: 5 },
      { defaultQueueConfig: { durable: false, maxLength: 6 } },
      { durable: true, maxLength: 5 },
    ],
    [
      'the default for what it left out',
      { maxLength: 5 },
      { defaultQueueConfig: { durable: false, messageTtl: 7 } },
      { durable: false, messageTtl: 7, maxLength: 5 },
    ],
    ['null as a choice', { maxLength: null }, { defaultQueueConfig: { maxLength: 6 } }, { maxLength: null }],
    [
      'an argument as a choice',
      { arguments: { 'x-overflow': 'reject-publish' } },
      { defaultQueueConfig: { overflow: 'drop-oldest' } },
      { overflow: 'reject' },
    ],
    ['Kafka’s own partitions', {}, { broker: 'kafka' }, { partitions: 4 }],
    ['one partition when asked', { partitions: 1 }, { broker: 'kafka' }, { partitions: 1 }],
    [
      'x-expires out of the arguments',
      { arguments: { 'x-expires': 9, a: 1 } },
      {},
      { expires: 9, arguments: { a: 1 } },
    ],
    [
      'the queue’s dead letters',
      { deadLetterQueue: 'a' },
      { defaultQueueConfig: { deadLetterQueue: 'b' }, consumer: { deadLetterQueue: 'c' } },
      { deadLetterQueue: 'a' },
    ],
    [
      'then those of the default',
      {},
      { defaultQueueConfig: { deadLetterQueue: 'b' }, consumer: { deadLetterQueue: 'c' } },
      { deadLetterQueue: 'b' },
    ],
    ['then those of the consumer', {}, { consumer: { deadLetterQueue: 'c' } }, { deadLetterQueue: 'c' }],
    [
      'none when they are off',
      { deadLetterQueue: 'a' },
      { enableDeadLetterQueue: false },
      { deadLetterQueue: null },
    ],
  ])('takes %s', (_, queue, config, expected) => {
    expect(settings(queue, config)).toMatchObject(expected)
  })

  it('names the dead letters of a subscription after both', () => {
    expect(deadLetterQueueOf('topic', 'mine', undefined, MessageQueueConfig.parse({}))).toBe('topic.mine.dlq')
  })

  it.each<[string, object, boolean]>([
    ['q.dlq', {}, true],
    ['q', {}, false],
    ['dead', { consumer: { deadLetterQueue: 'dead' } }, true],
    ['dead', { defaultQueueConfig: { deadLetterQueue: 'dead' } }, true],
    [
      'dead',
      { consumer: { deadLetterQueue: 'dead' }, defaultQueueConfig: { deadLetterQueue: 'other' } },
      false,
    ],
  ])('knows that %s with %j is for dead letters: %s', (name, config, expected) => {
    expect(isDeadLetterQueue(name, MessageQueueConfig.parse(config))).toBe(expected)
  })

  it('gives dead letters no dead letters, no delivery limit and none of the default’s lifetimes', () => {
    const config = {
      defaultQueueConfig: {
        messageTtl: 5,
        maxLength: 6,
        ordered: true,
        durable: false,
        arguments: { 'x-expires': 1 },
      },
    }
    expect(settings(undefined, config, 'q.dlq', true)).toMatchObject({
      deadLetterQueue: null,
      maxRedeliveries: Number.MAX_SAFE_INTEGER,
      messageTtl: null,
      maxLength: null,
      ordered: false,
      durable: false,
      expires: null,
    })
    expect(settings({ messageTtl: 8 }, config, 'q.dlq', true).messageTtl).toBe(8)
    expect(settings(undefined, { consumer: { deadLetterQueue: 'dead' } }, 'dead')).toMatchObject({
      deadLetterQueue: null,
      maxRedeliveries: Number.MAX_SAFE_INTEGER,
    })
  })

  it('remembers what was chosen through a second parse, and a copy has chosen everything', () => {
    const config = MessageQueueConfig.parse({ defaultQueueConfig: { durable: false } })
    const once = QueueConfig.parse({ name: 'q' })
    expect(queueSettings('q', QueueConfig.parse(once), config, false).durable).toBe(false)
    expect(queueSettings('q', { ...once }, config, false).durable).toBe(true)
  })
})
