export { memoryAdapter } from './adapter.ts'
export { createMemoryBroker, type MemoryBroker } from './broker.ts'
export type { MemoryAdapterOptions } from './options.ts'
