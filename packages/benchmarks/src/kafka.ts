import { MessageQueue } from '@mq/core'
import { kafkaAdapter } from '@mq/kafka'
import { kafkajsSide } from './kafka-bare.ts'
import { nestSide } from './kafka-nest.ts'
import { mqSide } from './mq-side.ts'
import type { Side } from './side.ts'

/**
 * Everyone on topics of as many partitions, waiting for all replicas and compressing nothing; the first is what the others are measured by. The
 * clients on librdkafka are not among them: their binaries do not come from npm. Neither are @platformatic/kafka, which needs Node 22, and @moleculer/channels, which commits each message by itself:
 * thousands would take minutes.
 */
export function kafkaSides(url: string): Side[] {
  return [
    kafkajsSide(url, true),
    mqSide('@mq/kafka', () => new MessageQueue(kafkaAdapter({ brokers: url }))),
    kafkajsSide(url, false),
    nestSide(url),
  ]
}
