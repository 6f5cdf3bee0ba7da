import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { conformance } from '@mq/conformance'
import { arrayAdapter, Server } from '../src/adapter.ts'

const server = new Server()

conformance(
  { describe, it, beforeAll, afterAll },
  {
    broker: 'array',
    createAdapter: () => arrayAdapter(server),
    process: { module: new URL('./child-adapter.ts', import.meta.url), shared: false },
    // An example: its results are no part of the library's.
    resultsFile: null,
  },
)
