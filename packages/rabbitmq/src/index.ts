export { rabbitmqAdapter } from './adapter.ts'
export { createAdapter } from './config.ts'
export type { RabbitmqOptions } from './options.ts'
