import { MessageQueue } from '@mq/core'
import { kafkaAdapter } from '@mq/kafka'
import { testOptions } from '../harness.ts'

// hanging-consumer.ts URL QUEUE: prints each id that it handles; no handler ends.
const [url = '', name = ''] = process.argv.slice(2)
const queue = new MessageQueue(kafkaAdapter(testOptions(url)))
await queue.connect()
await queue.consume(
  name,
  async ({ id }) => {
    console.log(id)
    await new Promise(() => undefined)
  },
  { concurrency: 3 },
)
