import { kafkaAdapter } from '@mq/kafka'
import { kafkajsSide, makeTopics } from './kafka-bare.ts'
import { nestSide } from './kafka-nest.ts'
import { moleculerSide } from './moleculer.ts'
import { mqSide } from './mq-side.ts'
import type { Side } from './side.ts'

/** It commits each message by itself, one after the other: handling thousands would take minutes. */
function channelsSide(url: string): Side {
  const removals = new Map<string, () => Promise<void>>()
  return moleculerSide({
    adapter: () => ({ type: 'Kafka', options: { kafka: { brokers: url.split(',') } } }),
    weaker: 'no ids; one message at a time',
    lacks: ['W3', 'W4'],
    prepare: async (name) => removals.set(name, await makeTopics(url, [name], [])),
    remove: async (name) => removals.get(name)?.(),
  })
}

/**
 * Everyone on topics of as many partitions, waiting for all replicas and compressing nothing; the first is what the others are measured by. The
 * clients on librdkafka are not among them: their binaries do not come from npm. Neither is @platformatic/kafka, which needs Node 22.
 */
export function kafkaSides(url: string): Side[] {
  return [
    kafkajsSide(url, true),
    mqSide('@mq/kafka', () => kafkaAdapter({ brokers: url })),
    kafkajsSide(url, false),
    nestSide(url),
    channelsSide(url),
  ]
}
