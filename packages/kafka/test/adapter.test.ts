import { describe, expect, it } from '@jest/globals'
import { connected, fresh, live, outbound } from '@mq/conformance/fixtures'
import { hold } from './requests.ts'
import { consuming, declaration, onServer, take } from './support.ts'

const { connect } = onServer()

describe('a consumer whose connection goes while it is opened', () => {
  it('fails, and is not what the next connection reads by', async () => {
    const clientId = fresh()
    const adapter = await connect({ clientId })
    const target = { queue: fresh() }
    await adapter.declare(target, declaration)
    const held = hold(clientId, 'ListGroups')
    const refused = expect(consuming(adapter, target)).rejects.toMatchObject({ code: 'MQ_CONNECTION' })
    await held.reached
    await adapter.disconnect(live)
    await connected(adapter)
    await refused
    held.letGo()
    await adapter.publish([outbound(target)], live)
    await take(await consuming(adapter, target), 1)
  })
})
