import type { Capabilities } from '@mq/core'
import { adapterNames, sourceEntries } from '../lib/workspace.ts'
import { pathToFileURL } from 'node:url'

interface Declared {
  broker: string
  capabilities: Capabilities
}

/** What each row of the table says, and how a reader sees it. */
const rows: { [Name in keyof Capabilities]: string } = {
  durable: 'messages survive a restart of the broker',
  priorityLevels: 'levels that priorities 0-255 are mapped onto',
  maxDelayMs: 'longest delay',
  maxBodyBytes: 'largest body that the adapter takes; `message.maxBodyBytes` (1008 KiB) comes first',
  ownership: 'what ties a delivery to its receiver',
  redeliveries: '`redeliveries` is',
  retryKeepsOrder: 'a retry keeps the key of an ordered queue blocked in the broker',
  settle: 'a resolved `acknowledge` means',
  size: '`getQueueSize` counts',
  purgeDelayed: '`purgeQueue` reaches delayed messages',
  purgeLiveSubscription: 'a subscription can be purged while it is consumed',
  dedupe: 'who honours `deduplicationWindowMs`',
  limits: '`maxLength` and `maxLengthBytes` are kept',
  exclusive: '`exclusive` queues',
  autoDelete: '`autoDelete` queues',
  browseHides: 'looking at dead letters hides them meanwhile',
}

/** Adapters say what they can do before they are connected. */
async function declared(): Promise<Declared[]> {
  const entries = sourceEntries()
  const names = ['memory', ...adapterNames()]
  return Promise.all(
    names.map(async (name) => {
      const source = entries.get(name === 'memory' ? '@mq/core' : `@mq/${name}`) ?? ''
      const loaded = (await import(pathToFileURL(source).href)) as Record<
        string,
        (() => Declared) | undefined
      >
      const create = loaded[`${name}Adapter`]
      if (!create) throw new Error(`${source} exports no ${name}Adapter`)
      return create()
    }),
  )
}

function days(ms: number): string {
  return ms >= 86_400_000 ? `${Math.floor(ms / 86_400_000)} days` : `${ms} ms`
}

function shown(name: keyof Capabilities, value: Capabilities[keyof Capabilities]): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string') return value
  if (value === Infinity) return 'any'
  if (name === 'maxDelayMs') return days(value)
  if (name === 'maxBodyBytes') return `${Math.floor(value / 1024)} KiB`
  return name === 'priorityLevels' && value === 1 ? 'none' : String(value)
}

/** Brokers side by side, from the capabilities that their adapters declare and the conformance suite asserts. */
export async function capabilitiesTable(): Promise<string> {
  const brokers = await declared()
  const lines = (Object.keys(rows) as (keyof Capabilities)[]).map((name) => {
    const values = brokers.map(({ capabilities }) => shown(name, capabilities[name]))
    return `| ${rows[name]} | ${values.join(' | ')} |`
  })
  const head = `| | ${brokers.map(({ broker }) => broker).join(' | ')} |`
  return [head, `| --- |${' --- |'.repeat(brokers.length)}`, ...lines].join('\n')
}
