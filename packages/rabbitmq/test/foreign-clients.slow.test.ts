import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startBroker, type RunningBroker } from '@mq/brokers'
import { fresh, until } from '@mq/conformance/fixtures'
import { MessageQueue } from '@mq/core'
import { rabbitmqAdapter } from '../src/index.ts'

const run = promisify(execFile)

let broker: RunningBroker
let queue: MessageQueue
let folder: string
let managementPort: number

/** Runs a program of Python's, with pika on its path. */
async function python(...args: string[]): Promise<string> {
  const { stdout } = await run('python3', args, {
    env: { ...process.env, PYTHONPATH: join(folder, 'packages') },
    timeout: 60_000,
  })
  return stdout.trim()
}

function script(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

async function preparePython(): Promise<void> {
  try {
    await run('python3', ['-c', 'import pika'])
    return
  } catch {
    // Not installed for the whole machine.
  }
  try {
    const target = join(folder, 'packages')
    await run('python3', ['-m', 'pip', 'install', '--quiet', '--target', target, 'pika'], {
      timeout: 120_000,
    })
  } catch (cause) {
    throw new Error(
      'These tests need Python and pika: run "sudo apt-get install python3-pip", or "python3-pika"',
      { cause },
    )
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mq-foreign-'))
  managementPort = await freePort()
  const [started] = await Promise.all([
    startBroker('rabbitmq', {
      fresh: true,
      plugins: ['rabbitmq_management'],
      extra: { 'management.tcp.port': String(managementPort), 'management.tcp.ip': '127.0.0.1' },
    }),
    preparePython(),
  ])
  broker = started
  queue = new MessageQueue(rabbitmqAdapter({ url: broker.url }))
  await queue.connect()
}, 240_000)

afterAll(async () => {
  await queue?.disconnect()
  await broker?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const PIKA = `
import json, sys, pika
connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
`

describe('pika', () => {
  it('sends what is consumed here, properties and headers included', async () => {
    const name = fresh()
    await queue.createQueue({ name })
    const file = script(
      'send.py',
      `${PIKA}
channel.confirm_delivery()
channel.basic_publish('', sys.argv[2], json.dumps({'from': 'pika'}), pika.BasicProperties(
    content_type='application/json', message_id='pika-1', correlation_id='c', delivery_mode=2, timestamp=1700000000,
    headers={'tenant': 'a', 'n': 5}), mandatory=True)
connection.close()
`,
    )
    await python(file, broker.url, name)
    const message = await queue.receive(name, { timeoutMs: 10_000 })
    expect(message).toMatchObject({ id: 'pika-1', correlationId: 'c', body: { from: 'pika' } })
    expect(message?.headers).toEqual({ tenant: 'a', n: '5' })
    if (message) await queue.acknowledge(message)
  }, 90_000)

  it('reads what is sent here, and why a dead letter failed', async () => {
    const name = fresh()
    await queue.createQueue({ name })
    const file = script(
      'read.py',
      `${PIKA}
method, properties, body = channel.basic_get(sys.argv[2], auto_ack=True)
print(json.dumps({'id': properties.message_id, 'type': properties.content_type, 'mode': properties.delivery_mode,
    'headers': {k: str(v) for k, v in properties.headers.items()}, 'body': json.loads(body)}))
connection.close()
`,
    )
    const id = await queue.send(name, { to: 'pika' }, { headers: { tenant: 'a' } })
    const read = async (from: string) => JSON.parse(await python(file, broker.url, from)) as object
    expect(await read(name)).toMatchObject({
      id,
      type: 'application/json',
      mode: 2,
      headers: { tenant: 'a' },
      body: { to: 'pika' },
    })
    await queue.send(name, { to: 'fail' })
    const message = await queue.receive(name, { timeoutMs: 10_000 })
    if (message) await queue.reject(message)
    await until(async () => (await queue.getQueueSize(`${name}.dlq`)) === 1)
    expect(await read(`${name}.dlq`)).toMatchObject({
      headers: { 'mq-dead-reason': 'rejected', 'mq-dead-queue': name },
      body: { to: 'fail' },
    })
  }, 90_000)
})

describe('rabbitmqadmin', () => {
  /** The tool that the server itself hands out. */
  async function admin(...args: string[]): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${managementPort}/cli/rabbitmqadmin`)
    const file = script('rabbitmqadmin', await answer.text())
    return python(file, '--host=127.0.0.1', `--port=${managementPort}`, ...args)
  }

  it('publishes what is consumed here, and shows what is sent here', async () => {
    const name = fresh()
    await queue.createQueue({ name })
    await admin('publish', 'exchange=amq.default', `routing_key=${name}`, 'payload={"from":"admin"}')
    const message = await queue.receive(name, { timeoutMs: 10_000 })
    expect(message?.body).toEqual({ from: 'admin' })
    if (message) await queue.acknowledge(message)
    await queue.send(name, { to: 'admin' })
    await until(async () => (await queue.getQueueSize(name)) === 1)
    const shown = await admin('get', `queue=${name}`, 'ackmode=ack_requeue_false', '-f', 'raw_json')
    expect(JSON.parse(shown)).toMatchObject([
      { payload: '{"to":"admin"}', properties: { content_type: 'application/json', delivery_mode: 2 } },
    ])
  }, 90_000)
})
