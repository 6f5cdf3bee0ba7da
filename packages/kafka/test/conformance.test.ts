import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { conformance } from '@mq/conformance'
import { makeHarness } from './harness.ts'

const { harness, stop } = await makeHarness('kafka')

conformance({ describe, it, beforeAll, afterAll }, harness)
afterAll(stop, 60_000)
