import type { Channel } from 'amqplib'
import type { Connection } from './connection.ts'
import type { Settler } from './settler.ts'
import { decode, type Held } from './wire.ts'

/** A message that is there now. What comes too late for whoever asked is given back: else an acknowledgement of all before another would take it. */
export async function getOne(
  connection: Connection,
  channel: Channel,
  settler: Settler,
  queue: string,
  position: string | undefined,
): Promise<Held | null> {
  const answer = channel.get(queue).then((raw) => {
    if (raw === false) return null
    const held = decode(raw, queue, position)
    settler.add(held)
    return held
  })
  try {
    return await connection.rpc(answer, 'getting a message')
  } catch (error) {
    answer.then(
      (late) => void (late === null || settler.release([late])),
      () => undefined,
    )
    throw error
  }
}
