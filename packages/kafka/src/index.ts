export { kafkaAdapter } from './adapter.ts'
export { createAdapter } from './config.ts'
export type { KafkaOptions } from './options.ts'
