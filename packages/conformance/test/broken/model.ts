import { allSettled, onReceiver, type Broken } from './broken.ts'

/** Faults that need several things to have happened, in an order that nobody would think of writing down. */
export const sequences: readonly Broken[] = [
  {
    name: 'drops a dead letter when the settlement before it was a retry',
    fault: (inner) =>
      onReceiver(inner, (receiver, { mode }) => {
        if (mode !== 'pull') return {}
        let last = ''
        return {
          ack(deliveries) {
            last = 'ack'
            return receiver.ack(deliveries)
          },
          retry(deliveries, delayMs) {
            last = 'retry'
            return receiver.retry(deliveries, delayMs)
          },
          async deadLetter(deliveries, failures, target) {
            const drops = last === 'retry'
            last = 'deadLetter'
            if (!drops) return receiver.deadLetter(deliveries, failures, target)
            await receiver.ack(deliveries)
            return allSettled(deliveries)
          },
        }
      }),
    fails: [
      'contract.counts-new',
      'contract.fields-dead',
      'contract.fields-kinds',
      'dead-letters.redrive-again',
      'model.random',
      'receiver.dead-letter',
      'topics.lease',
      'contract.large-ways',
      'extras.priority-returned',
      'receiver.fenced',
    ],
  },
]
