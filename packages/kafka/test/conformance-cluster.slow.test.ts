import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { conformance } from '@mq/conformance'
import { makeHarness } from './harness.ts'

const { harness, stop } = await makeHarness('kafka-cluster')

// Three nodes, of which each leads some of the partitions: what one reads comes from several of them, and in no order but a partition's own.
conformance({ describe, it, beforeAll, afterAll }, { ...harness, resultsFile: null, patienceMs: 60_000 })
afterAll(stop, 120_000)
