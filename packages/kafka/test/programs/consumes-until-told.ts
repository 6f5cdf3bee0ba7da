/** Consumes and publishes until its stdin ends, then disconnects: with that it must end by itself. */
import { MessageQueue } from '@mq/core'
import { createAdapter } from '../child-adapter.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const [name = ''] = process.argv.slice(2)
const queue = new MessageQueue(createAdapter())
queue.on('error', () => undefined)
await queue.connect()
await queue.consume(name, () => say('handled'))
await queue.send(name, 'hello')
// Something is under way whatever happens: sends that nobody confirms any more are rejected by the end.
const sending = setInterval(() => void queue.send(name, 'more').catch(() => undefined), 5)
process.stdin.resume()
process.stdin.once('end', () => {
  clearInterval(sending)
  void queue.disconnect({ timeoutMs: 500 }).then(() => say('disconnected'))
})
