import { describe, expect, it } from '@jest/globals'
import type { CustomRequest } from '../../src/client.ts'
import type { Connection } from '../../src/connection.ts'
import { encodeBatch } from '../../src/log/batch-writer.ts'
import { Writer } from '../../src/log/bytes.ts'
import { readChunk } from '../../src/log/scan.ts'

const TOPIC_ID = '00112233445566778899aabbccddeeff'
const NO_TAGS = 0

/** As a broker writes it: an error, or what partition 0 holds, or nothing, as where a quota holds it back. */
function answer(error: number, records?: Buffer): Buffer {
  const out = new Writer().int8(NO_TAGS).int32(0).int16(error).int32(0)
  if (records === undefined) return out.uvarint(1).int8(NO_TAGS).done()
  return out
    .uvarint(2)
    .raw(Buffer.from(TOPIC_ID, 'hex'))
    .uvarint(2)
    .int32(0)
    .int16(0)
    .int64(1)
    .int64(1)
    .int64(0)
    .uvarint(0)
    .int32(-1)
    .uvarint(records.length + 1)
    .raw(records)
    .int8(NO_TAGS)
    .int8(NO_TAGS)
    .int8(NO_TAGS)
    .done()
}

/** A topic whose leader answers fetches so, one after the other. */
function topic(...answers: Buffer[]): Connection {
  const custom = (request: CustomRequest<unknown>) =>
    Promise.resolve(request.decode(answers.shift() ?? Buffer.alloc(0)))
  return {
    topic: () => Promise.resolve({ id: TOPIC_ID, leaders: [1] }),
    link: () => Promise.resolve({ custom }),
  } as unknown as Connection
}

describe('a chunk of a log', () => {
  it('is asked for again where a quota holds it back', async () => {
    const batch = encodeBatch([{ timestamp: 1, key: null, value: Buffer.from('v'), headers: [] }], 'none')
    const { records } = await readChunk(topic(answer(0), answer(0), answer(0, batch)), 't', 0, 0)
    expect(records.map(({ value }) => value?.toString())).toEqual(['v'])
  })

  it('is refused with what the broker says of the request as a whole', async () => {
    const reading = readChunk(topic(answer(56)), 't', 0, 0)
    await expect(reading).rejects.toMatchObject({ type: 'KAFKA_STORAGE_ERROR' })
  })
})
