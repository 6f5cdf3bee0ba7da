import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { conformance } from '@mq/conformance'
import { harness, stopHarness } from './harness.ts'

const pending = JSON.parse(readFileSync(new URL('./pending.json', import.meta.url), 'utf8')) as string[]

conformance({ describe, it, beforeAll, afterAll }, { ...harness, pending })
afterAll(stopHarness, 60_000)
