import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { conformance } from '@mq/conformance'
import { harness, stopHarness } from './harness.ts'

conformance({ describe, it, beforeAll, afterAll }, harness)
afterAll(stopHarness, 60_000)
