import { AdapterError, atMost, type Delivery, type Receiver } from '@mq/core/adapter'
import { closeCause, closeChannel, closeQuietly } from './connection.ts'
import { untilReady } from './flush.ts'
import { getOne } from './get-one.ts'
import { partitionQueue, queueOf } from './names.ts'
import { inspect, openError, type ReceiverSetup } from './receiver.ts'
import { createSettler } from './settler.ts'
import { createShown } from './shown.ts'
import { type Held } from './wire.ts'

/**
 * Looks by taking and giving back: AMQP cannot look otherwise. What was shown is hidden from others until the end. A position is how many
 * came before.
 */
export async function openBrowser(setup: ReceiverSetup): Promise<Receiver> {
  const { connection, publisher, topology, source } = setup
  let skip = placeOf(source.after)
  const queue = queueOf(source.target)
  const { partitions, exclusive, ordered } = await inspect(topology, source.target)
  if (ordered) {
    const text = `"${queue}" is ordered: RabbitMQ gives its messages to one consumer alone and shows them to nobody else. Consume it, or take a queue without \`ordered\` for dead letters`
    throw new AdapterError('MQ_UNSUPPORTED', text)
  }
  const channel = await connection.channel('consume')
  const settler = createSettler(
    connection,
    channel,
    publisher,
    () => null,
    () => undefined,
  )
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const next = turn.then(step)
    turn = next.catch(() => undefined)
    return next
  }
  const role = exclusive ? 'consume' : 'admin'
  const shown = createShown(connection, channel, settler, role, inTurn)
  channel.on('close', shown.stop)
  let closing: Promise<void> | null = null
  let partition = 0
  let seen = 0
  /** How many were there at first: what comes back, or comes late, is not looked at twice. */
  let left: number | null = null

  const countNow = (): Promise<number> =>
    connection.admin(
      async (admin) => (await admin.checkQueue(partitionQueue(queue, partition))).messageCount,
      role,
    )

  const next = async (): Promise<Held | null> => {
    while (partition < partitions) {
      left ??= await countNow()
      if (left > 0) {
        left--
        const physical = partitionQueue(queue, partition)
        const held = await getOne(connection, channel, settler, physical, String(seen + 1))
        if (held !== null && shown.claims(held)) {
          left++
          continue
        }
        if (held !== null) {
          seen++
          shown.add(held)
          return held
        }
      }
      partition++
      left = null
    }
    return null
  }

  const look = async (max: number, signal: AbortSignal): Promise<Held[]> => {
    const found: Held[] = []
    while (found.length < max && !signal.aborted) {
      const held = await next()
      if (held === null) break
      if (skip > 0) skip--
      else found.push(held)
    }
    return found
  }
  /** Settles by the deliveries of now. */
  const settle =
    <A extends unknown[], T>(operation: (deliveries: readonly Delivery[], ...more: A) => Promise<T>) =>
    (deliveries: readonly Delivery[], ...more: A): Promise<T> =>
      inTurn(async () => {
        const outcomes = await operation(shown.now(deliveries), ...more)
        shown.letGo(deliveries)
        return outcomes
      })

  const receiver: Receiver = {
    async receive(max, signal) {
      try {
        const found = await inTurn(() => look(max, signal))
        // Nothing is the end.
        if (found.length === 0) signal.throwIfAborted()
        return found
      } catch (error) {
        throw openError(source.target, settler.closed ? closeCause(channel) : error)
      }
    },
    ack: settle(settler.ack),
    release: settle(settler.release),
    retry: settle(settler.retry),
    deadLetter: settle(settler.deadLetter),
    renew: settle(settler.renew),
    close(signal) {
      if (closing === null) {
        shown.stop()
        const leave = async (): Promise<void> => {
          const n = settler.open
          settler.releaseAll()
          await closeChannel(channel, signal)
          partition = 0
          if (partitions === 1 && n > 0) await untilReady(countNow, n)
        }
        closing = settler.closed ? Promise.resolve() : leave().catch(() => closeQuietly(channel))
        setup.closed(receiver)
      }
      return atMost(closing, signal)
    },
  }
  return receiver
}

/** How many came before a cursor. Throws for one that is no cursor of ours. */
function placeOf(cursor: string | undefined): number {
  if (cursor === undefined) return 0
  if (/^\d+$/.test(cursor)) return Number(cursor)
  throw new AdapterError('MQ_VALIDATION', `${JSON.stringify(cursor)} is no cursor that list answered`)
}
