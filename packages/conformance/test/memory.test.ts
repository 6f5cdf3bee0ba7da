import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { createMemoryBroker, memoryAdapter } from '@mq/core'
import { conformance } from '@mq/conformance'

const broker = createMemoryBroker()

conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'memory',
    createAdapter: () => memoryAdapter({ broker }),
    process: { module: new URL('./child-adapter.ts', import.meta.url), shared: false },
    concurrency: 16,
    patienceMs: 30_000,
  },
)
