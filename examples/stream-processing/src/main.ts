import { EventEmitter, once } from 'node:events'
import { MessageQueueFactory, type Message } from '@mq/core'
import { days, months, type Day, type Month } from './queues.ts'
import { loadDays } from './series.ts'
import { MonthlyWindows, type Closed } from './windows.ts'

const LATENESS_DAYS = 7

const queue = MessageQueueFactory.createQueueFromEnv() // MESSAGE_BROKER; in memory by default
await queue.connect()
const series = loadDays()

// First stage. Days stay unacknowledged until their month is safe in the second queue: a crash brings back whole windows.
const windows = new MonthlyWindows<Message<Day>>(LATENESS_DAYS)
const seen = new Set<string>()
const progress = new EventEmitter()
const until = async (reached: () => boolean): Promise<void> => {
  while (!reached()) await once(progress, 'change')
}

async function pass({ month, tokens }: Closed<Message<Day>>): Promise<void> {
  // The id names the window: one that is sent again after a crash is known as the same.
  await queue.send(months, month, { id: `seattle-${month.month}` })
  await Promise.all(tokens.map((message) => queue.acknowledge(message)))
}

await queue.consume(
  days,
  async (message) => {
    const closed = windows.add(message.body, message)
    if (closed === 'late') return queue.reject(message, { reason: 'its month is closed' })
    for (const each of closed) await pass(each)
    seen.add(message.body.date)
    progress.emit('change')
  },
  // Room for a window, for the next one until the first is closed, and for what is read ahead.
  { acknowledgmentMode: 'manual', prefetch: 100 },
)

// Second stage. After a crash between the send and the last acknowledgement, a part of a window may come again: the whole one counts.
const table = new Map<string, Month>()
await queue.consume(months, ({ id, body }) => {
  if (body.days >= (table.get(id)?.days ?? 0)) table.set(id, body)
  progress.emit('change')
})

await queue.sendBatch(
  series.map((body) => ({ id: `seattle-${body.date}`, body })),
  { queueName: days },
)
await until(() => seen.size === series.length)
// A real stream has no end; this one has, and its last window is closed by hand.
for (const each of windows.end()) await pass(each)
const expected = new Set(series.map(({ date }) => date.slice(0, 7))).size
await until(() => table.size === expected)

console.log(`${series.length} days of Seattle in ${table.size} months`)
for (const [, { month, ...of }] of [...table].sort(([first], [second]) => first.localeCompare(second))) {
  const rain = `${of.precipitation.toFixed(1).padStart(6)} mm on ${String(of.wetDays).padStart(2)} of ${of.days} days`
  console.log(`${month} ${rain}, ${of.warmest.toFixed(1).padStart(5)} °C`)
}
console.log(
  `left: ${await queue.getQueueSize(days)} days, ${await queue.deadLetters(days).count()} dead letters`,
)
await queue.disconnect()
