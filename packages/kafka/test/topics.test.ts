import { describe, expect, it } from '@jest/globals'
import { fresh } from '@mq/conformance/fixtures'
import protocolErrors from 'kafkajs/src/protocol/error.js'
import { deleteTopic } from '../src/topics.ts'
import { refuseOnce } from './requests.ts'
import { declaration, onServer } from './support.ts'

const OFFSET_FETCH = 9
const LIST_GROUPS = 16
const CREATE_TOPICS = 19
const DELETE_TOPICS = 20
const GROUP_LOAD_IN_PROGRESS = 14
const { createErrorFromCode } = protocolErrors as { createErrorFromCode(code: number): Error }
const { connect } = onServer()

it('a topic that another deletes at the same time is deleted, whatever a broker calls it by then', async () => {
  const clientId = fresh()
  const [adapter, other] = [await connect({ clientId }), await connect()]
  for (const code of [3, 100]) {
    const target = { queue: fresh() }
    await adapter.declare(target, declaration)
    refuseOnce(clientId, DELETE_TOPICS, createErrorFromCode(code))
    await Promise.all([adapter.remove(target), other.remove(target)])
    await expect(adapter.size(target)).rejects.toMatchObject({ code: 'MQ_QUEUE_NOT_FOUND' })
  }
})

it('a topic that another makes anew once it is deleted is not waited for', async () => {
  let id = 'old'
  let looks = 0
  const link = { call: () => Promise.resolve((id = 'new')) }
  const connection = {
    options: { requestTimeoutMs: 1_000 },
    controller: () => Promise.resolve(link),
    topic: () => Promise.resolve({ name: 't', id, looks: ++looks }),
  }
  await deleteTopic(connection as never, 't')
  expect(looks).toBe(2)
})

describe('a broker that goes away when it is asked', () => {
  const away = (clientId: string, apiKey: number): void =>
    refuseOnce(clientId, apiKey, Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))

  it('is not the last to be asked, nor is one that takes its place and is not ready', async () => {
    const clientId = fresh()
    const adapter = await connect({ clientId })
    const topic = fresh()
    away(clientId, CREATE_TOPICS)
    await adapter.declare({ topic }, declaration)
    const target = { topic, subscription: 's' }
    await adapter.declare(target, { ...declaration, pattern: '#' })
    away(clientId, OFFSET_FETCH)
    expect(await adapter.size(target)).toBe(0)
    away(clientId, LIST_GROUPS)
    await adapter.remove({ topic })
    await adapter.declare({ topic }, declaration)
    refuseOnce(clientId, LIST_GROUPS, createErrorFromCode(GROUP_LOAD_IN_PROGRESS))
    await adapter.remove({ topic })
    away(clientId, DELETE_TOPICS)
    const queue = fresh()
    await adapter.declare({ queue }, declaration)
    await adapter.remove({ queue })
  })
})
