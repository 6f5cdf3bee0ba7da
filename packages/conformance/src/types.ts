import type { Clock } from '@mq/core'
import type { BrokerAdapter, Capabilities } from '@mq/core/adapter'

/** The functions of a test framework that the suite needs. Jest's, Vitest's and node:test's fit, the latter with a small shim. */
export interface Runner {
  describe(name: string, define: () => void): void
  /** `timeoutMs` is generous: the suite ends a test that hangs by itself, earlier. */
  it(name: string, run: () => Promise<void>, timeoutMs?: number): void
  /** Without it tests run one after the other, as the framework calls them. */
  beforeAll?(run: () => Promise<void>, timeoutMs?: number): void
  /** Without it the results are written after the last test. */
  afterAll?(run: () => Promise<void>, timeoutMs?: number): void
}

/** One broker, as the suite reaches it. */
export interface Harness {
  /** Names the results file: `redis`. */
  readonly broker: string

  /** A fresh, unconnected adapter at each call; all of them reach the same broker. */
  createAdapter(): BrokerAdapter

  /** Where the results are written. Default: `results/<broker>.json` below the working directory. `null`: nowhere. */
  readonly resultsFile?: string | URL | null

  /** What only a real server can do. What is missing is simulated around the adapter, where that proves the same thing. */
  readonly faults?: Faults

  /** Lets tests run parts of themselves in processes of their own. */
  readonly process?: ChildProcesses

  /** Ids that the adapter does not pass yet. They are not run, are printed, and are reported as `pending`. */
  readonly pending?: readonly string[]

  /** Runs these ids alone; the others are reported as `skipped`. */
  readonly only?: readonly string[]

  /** Hears which ids are pending and which were skipped. Default: `console.warn`. */
  readonly report?: (line: string) => void

  /** Most tests that run at once. Default 8. */
  readonly concurrency?: number

  /** How long a test waits for something that must happen, in ms. Default 15,000. */
  readonly patienceMs?: number

  /** Lease of the tests that let one run out, in ms. Shorter than this process or the broker may stall, some of them fail. Default 3000. */
  readonly leaseMs?: number

  /** Time of the tests and of the queues that they make, for a broker that shares it. Default: the system's. */
  readonly clock?: Clock

  /** Where the seed of the random commands comes from. Default: drawn, and printed when the test fails. */
  readonly seed?: number
}

/** Faults of a real server. */
export interface Faults {
  /** Kills the broker without warning, and starts it again on the same address with the same data. */
  readonly restartBroker?: () => Promise<void>
  /** An adapter whose network can be disturbed. Default: calls of the adapter are disturbed in this process. */
  readonly link?: () => Promise<Link>
  /** Makes the broker refuse writes (out of memory or disk), until the answer is called. */
  readonly fill?: () => Promise<() => Promise<void>>
  /** An adapter whose credentials the broker refuses. Default: an adapter that says so. */
  readonly badCredentials?: () => BrokerAdapter
  /** An adapter for an address where nothing listens. Default: an adapter that says so. */
  readonly wrongHost?: () => BrokerAdapter
}

/** An adapter with a network between it and its broker. */
export interface Link {
  readonly adapter: BrokerAdapter
  /** Breaks the connection, once. A new one can be made, unless the link is down. */
  cut(): void | Promise<void>
  /** Down: breaks the connection and refuses new ones. */
  setDown(down: boolean): void | Promise<void>
  /** Nothing is answered any more, nothing is refused. */
  setBlackHole(on: boolean): void | Promise<void>
  /** Delays everything by so many ms, each way. */
  setDelay(ms: number): void | Promise<void>
  /** Ends what the link itself started. */
  close(): void | Promise<void>
}

export interface ChildProcesses {
  /** A module whose export `createAdapter()` answers an adapter for the same broker. */
  readonly module: string | URL
  /** Whether such a process reaches the same messages as this one (not so in memory). */
  readonly shared: boolean
  /** Flags of Node for the child. Default: what is needed to run TypeScript where the suite itself is TypeScript, else none. */
  readonly execArgv?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export type Outcome = 'passed' | 'failed' | 'refused' | 'skipped' | 'pending'

export interface ItemResult {
  readonly outcome: Outcome
  /** `refused`: which capability is less than full. */
  readonly capability?: keyof Capabilities
  /** Why it failed or was skipped. */
  readonly reason?: string
}

/** What `results/<broker>.json` holds. */
export interface Results {
  readonly broker: string
  readonly capabilities: Capabilities | null
  readonly items: Record<string, ItemResult>
}
