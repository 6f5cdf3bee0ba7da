import { rabbitmqAdapter } from '@mq/rabbitmq'
import { mqSide } from './mq-side.ts'
import { amqplibSide } from './rabbitmq-bare.ts'
import { channelsSide, nestSide, toolkitSide } from './rabbitmq-frameworks.ts'
import { rabbitmqClientSide, rascalSide } from './rabbitmq-peers.ts'
import type { Side } from './side.ts'

/** Everyone on durable quorum queues with persistent messages; the first is what the others are measured by. */
export function rabbitmqSides(url: string): Side[] {
  return [
    amqplibSide(url, true),
    mqSide('@mq/rabbitmq', () => rabbitmqAdapter({ url })),
    amqplibSide(url, false),
    rabbitmqClientSide(url),
    rascalSide(url),
    nestSide(url),
    toolkitSide(url),
    channelsSide(url),
  ]
}
