import { workerHandler } from '../../src/index.ts'

workerHandler(new URL('./never.js', import.meta.url), { loadTimeoutMs: 8_000 })
