export { redisAdapter } from './adapter.ts'
export { createAdapter } from './config.ts'
export { redisDeduplicationStore, type RedisDeduplicationStore } from './deduplication-store.ts'
export type { RedisOptions } from './options.ts'
