import { MessageQueue, MessageQueueConfig, MessageQueueManager } from '@mq/core'
import type { BrokerAdapter } from '@mq/core/adapter'
import { useEverything } from './use-everything.ts'

/** What a process of its own can be asked to do; see `startChild`. */
export type Scenario = 'exit' | 'hang' | 'crash' | 'signals' | 'busy' | 'idle'

const [url = '', scenario = '', name = '', lease = '1000'] = process.argv.slice(2)
const { createAdapter } = (await import(url)) as { createAdapter: () => BrokerAdapter }
const consumer = { sessionTimeoutMs: Number(lease), heartbeatIntervalMs: Math.floor(Number(lease) / 4) }
const queue = new MessageQueue(createAdapter(), { consumer })

const say = (text: string) => process.stdout.write(`${text}\n`)
const never = () => new Promise<never>(() => undefined)

switch (scenario) {
  case 'exit': {
    // Uses everything, disconnects while it consumes, and says nothing more: the process must end by itself.
    await queue.connect()
    await useEverything(queue, name)
    await queue.disconnect()
    say('disconnected')
    break
  }
  case 'hang':
    // Takes one message and works on it for ever, until it is killed. Something must keep the process alive meanwhile.
    setInterval(() => undefined, 1000)
    await queue.connect()
    await queue.consume(name, () => {
      say('took one')
      return never()
    })
    break
  case 'crash':
    // Every message kills it.
    await queue.connect()
    await queue.createQueue({ name, maxRedeliveries: 2 })
    await queue.consume(name, () => process.kill(process.pid, 'SIGKILL'))
    setInterval(() => undefined, 1000)
    break
  case 'signals': {
    const manager = new MessageQueueManager(MessageQueueConfig.parse({}))
    manager.addQueue('main', queue)
    queue.registerFunctionHandler(name, () => {
      say('handling')
      return never()
    })
    manager.stopOnSignals()
    process.once('SIGTERM', () => say('told to end'))
    setInterval(() => undefined, 1000)
    await manager.start()
    await queue.send(name, 'hello')
    break
  }
  case 'busy':
  case 'idle': {
    // Consumes until SIGTERM, and disconnects: with that it must end by itself. A signal's listener keeps no process alive.
    let sending: NodeJS.Timeout | undefined
    process.once('SIGTERM', () => {
      clearInterval(sending)
      void queue.disconnect({ timeoutMs: 500 }).then(() => say('disconnected'))
    })
    queue.on('error', () => undefined)
    await queue.connect()
    await queue.consume(name, ({ body }) => void say(`handled ${String(body)}`))
    // Something is under way whatever happens: sends that nobody confirms any more are rejected by the end.
    const send = (body: string) => void queue.send(name, body).catch(() => undefined)
    if (scenario === 'busy') sending = setInterval(send, 5, 'more')
    send('hello')
    break
  }
  default:
    throw new Error(`no such scenario: ${scenario}`)
}
