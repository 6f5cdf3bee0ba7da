import { it } from '@jest/globals'
import { fresh } from '@mq/conformance/fixtures'
import protocolErrors from 'kafkajs/src/protocol/error.js'
import { refuseOnce } from './requests.ts'
import { declaration, onServer } from './support.ts'

const DELETE_TOPICS = 20
const { createErrorFromCode } = protocolErrors as { createErrorFromCode(code: number): Error }
const { connect } = onServer()

it('a topic that another deletes at the same time is deleted, whatever a broker calls it by then', async () => {
  const clientId = fresh()
  const adapter = await connect({ clientId })
  for (const code of [3, 100]) {
    const target = { queue: fresh() }
    await adapter.declare(target, declaration)
    refuseOnce(clientId, DELETE_TOPICS, createErrorFromCode(code))
    await adapter.remove(target)
  }
})
