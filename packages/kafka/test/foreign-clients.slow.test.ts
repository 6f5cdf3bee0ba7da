import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { locateTools, type RunningBroker, startBroker } from '@mq/brokers'
import { fresh } from '@mq/conformance/fixtures'
import type { MessageQueue } from '@mq/core'
import { connections } from './support.ts'

const run = promisify(execFile)

let broker: RunningBroker
let queue: MessageQueue
let folder: string
let kcatProgram: string
const { connect, closeAll } = connections(() => broker.url)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mq-kafka-foreign-'))
  const [started] = await Promise.all([startBroker('kafka'), preparePython(), prepareKcat()])
  broker = started
  queue = await connect()
}, 300_000)
afterAll(async () => {
  await closeAll()
  await broker?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const pythonPath = (): NodeJS.ProcessEnv => ({ ...process.env, PYTHONPATH: join(folder, 'packages') })

async function preparePython(): Promise<void> {
  const packages = ['confluent-kafka', 'kafka-python']
  try {
    await run(
      'python3',
      ['-m', 'pip', 'install', '--quiet', '--target', join(folder, 'packages'), ...packages],
      {
        timeout: 200_000,
      },
    )
  } catch (cause) {
    throw new Error(
      `These tests need Python and its pip, and install ${packages.join(' and ')} by it: run "sudo apt-get install python3-pip"`,
      { cause },
    )
  }
}

/** Installed where that may be done, as servers are; otherwise the error names the command. */
async function prepareKcat(): Promise<void> {
  const need = { label: 'kcat', tools: ['kcat'] as const, folders: ['/usr/bin'], debianPackages: ['kcat'] }
  kcatProgram = (await locateTools(need)).kcat
}

async function python(text: string, ...args: string[]): Promise<string> {
  const file = join(folder, `${fresh('script')}.py`)
  writeFileSync(file, text)
  const { stdout } = await run('python3', [file, broker.url, ...args], { env: pythonPath(), timeout: 60_000 })
  return stdout.trim()
}

async function kcat(args: readonly string[], input = ''): Promise<string> {
  const child = spawn(kcatProgram, ['-b', broker.url, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  expect(code).toBe(0)
  return output.trim()
}

async function receive(from: string) {
  const message = await queue.receive(from, { timeoutMs: 20_000 })
  if (message === null) throw new Error('nothing came')
  await queue.acknowledge(message)
  return message
}

/** Both spell the same: value, key and headers in, and out again. */
const CLIENTS = [
  {
    client: 'confluent-kafka',
    send: `
import json, sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'compression.type': sys.argv[3], 'partitioner': 'murmur2_random'})
producer.produce(sys.argv[2], value=json.dumps({'from': 'python'}), key='k', headers={'tenant': 'a', 'mq-id': 'p-1'})
assert producer.flush(30) == 0
`,
    read: `
import json, sys
from confluent_kafka import Consumer
consumer = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': 'python', 'auto.offset.reset': 'earliest'})
consumer.subscribe([sys.argv[2]])
record = consumer.poll(40)
assert record is not None and record.error() is None, record
print(json.dumps({'key': record.key().decode(), 'partition': record.partition(), 'body': json.loads(record.value()),
    'headers': {k: v.decode() for k, v in record.headers()}}))
consumer.close()
`,
  },
  {
    client: 'kafka-python',
    send: `
import json, sys
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1], compression_type=None if sys.argv[3] == 'none' else sys.argv[3])
producer.send(sys.argv[2], json.dumps({'from': 'python'}).encode(), key=b'k',
    headers=[('tenant', b'a'), ('mq-id', b'p-1')]).get(30)
producer.close()
`,
    read: `
import json, sys
from kafka import KafkaConsumer
consumer = KafkaConsumer(sys.argv[2], bootstrap_servers=sys.argv[1], group_id='python-2', auto_offset_reset='earliest',
    consumer_timeout_ms=40000)
record = next(consumer)
print(json.dumps({'key': record.key.decode(), 'partition': record.partition, 'body': json.loads(record.value),
    'headers': {k: v.decode() for k, v in record.headers}}))
consumer.close()
`,
  },
]

describe.each(CLIENTS)('$client', ({ send, read }) => {
  it.each(['none', 'gzip'])(
    'sends what is consumed here (compression: %s)',
    async (compression) => {
      const to = fresh()
      await queue.createQueue({ name: to })
      await python(send, to, compression)
      const message = await receive(to)
      expect(message).toMatchObject({ id: 'p-1', key: 'k', body: { from: 'python' } })
      expect(message.headers).toEqual({ tenant: 'a' })
    },
    120_000,
  )

  it('reads what is sent here', async () => {
    const to = fresh()
    await queue.createQueue({ name: to, partitions: 1 })
    const id = await queue.send(to, { to: 'python' }, { key: 'k', headers: { tenant: 'a' } })
    expect(JSON.parse(await python(read, to))).toMatchObject({
      key: 'k',
      body: { to: 'python' },
      headers: { tenant: 'a', 'mq-id': id, 'content-type': 'application/json' },
    })
  }, 120_000)
})

const TRANSACTIONS = `
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': sys.argv[2]})
producer.init_transactions()
for end, bodies in ((producer.abort_transaction, '123'), (producer.commit_transaction, '45'), (producer.abort_transaction, '6')):
    producer.begin_transaction()
    for body in bodies:
        producer.produce(sys.argv[2], value=body)
    producer.flush()
    end()
`

describe('a transaction', () => {
  it('that was given up never existed, and its end is nothing to be handled', async () => {
    const to = fresh()
    await queue.createQueue({ name: to, partitions: 1 })
    await python(TRANSACTIONS, to)
    const bodies = [await receive(to), await receive(to)].map(({ body }) => body)
    expect(bodies).toEqual(['4', '5'])
    expect(await queue.receive(to, { timeoutMs: 2_000 })).toBeNull()
    expect(await queue.getQueueSize(to)).toBe(0)
  }, 120_000)
})

describe('a key', () => {
  it('has the partition that other clients give it', async () => {
    const to = fresh()
    await queue.createQueue({ name: to, partitions: 12 })
    await queue.send(to, { to: 'python' }, { key: 'k' })
    const [confluent, plain] = CLIENTS
    await python(confluent?.send ?? '', to, 'none')
    await python(plain?.send ?? '', to, 'none')
    const places = await kcat(['-C', '-t', to, '-e', '-q', '-f', '%p\n'])
    expect(places.split('\n')).toHaveLength(3)
    expect(new Set(places.split('\n')).size).toBe(1)
  }, 120_000)
})

describe('kcat', () => {
  it('sends what is consumed here', async () => {
    const to = fresh()
    await queue.createQueue({ name: to })
    await kcat(['-P', '-t', to, '-K', ':', '-H', 'tenant=a'], 'k:{"from":"kcat"}')
    const message = await receive(to)
    expect(message).toMatchObject({ key: 'k', body: { from: 'kcat' }, headers: { tenant: 'a' } })
    expect(message.id).toMatch(new RegExp(`^${to}/\\d+/0$`))
  }, 60_000)

  it('reads what is sent here, and why a dead letter failed', async () => {
    const to = fresh()
    await queue.createQueue({ name: to })
    const id = await queue.send(to, { to: 'kcat' }, { key: 'k', headers: { tenant: 'a' } })
    const shown = await kcat(['-C', '-t', to, '-e', '-q', '-f', '%k %s %h\n'])
    expect(shown).toContain('k {"to":"kcat"} ')
    expect(shown).toContain('tenant=a')
    expect(shown).toContain(`mq-id=${id}`)
    const message = await queue.receive(to, { timeoutMs: 20_000 })
    if (message) await queue.reject(message)
    const dead = await kcat(['-C', '-t', `${to}.dlq`, '-e', '-q', '-f', '%s %h\n'])
    expect(dead).toContain('{"to":"kcat"}')
    expect(dead).toContain('mq-dead-reason=rejected')
  }, 60_000)
})
