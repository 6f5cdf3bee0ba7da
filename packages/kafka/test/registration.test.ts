import { describe, expect, it } from '@jest/globals'
import { fresh, live } from '@mq/conformance/fixtures'
import type { Declaration } from '@mq/core/adapter'
import { hold } from './requests.ts'
import { declaration, onServer } from './support.ts'

// Of its own: whoever declares first makes the topic of settings, too.
const { connect } = onServer({ fresh: true })

const withTtl = (messageTtl: number, ifExists: 'take' | 'compare' = 'compare'): Declaration => ({
  settings: { ...declaration.settings, messageTtl },
  pattern: undefined,
  ifExists,
})

describe('the settings of a queue that another is making', () => {
  it('are waited for, also where it is the first of all', async () => {
    const clientId = fresh()
    const [maker, user, other] = [await connect({ clientId }), await connect(), await connect()]
    const target = { queue: fresh() }
    const held = hold(clientId, 'Produce')
    const made = maker.declare(target, withTtl(60_000))
    await held.reached
    const used = user.declare(target, declaration)
    const refused = expect(other.declare(target, withTtl(70_000))).rejects.toMatchObject({
      code: 'MQ_QUEUE_CONFLICT',
      differences: [{ field: 'messageTtl', existing: 60_000, requested: 70_000 }],
    })
    // Both have looked by then: it is theirs to wait.
    await user.size(target)
    await other.size(target)
    held.letGo()
    await made
    expect(await used).toMatchObject({ messageTtl: 60_000 })
    await refused
  })

  it('are those of the first who asks for it where its maker was cut off', async () => {
    const clientId = fresh()
    const [maker, user, other] = [await connect({ clientId }), await connect(), await connect()]
    const target = { queue: fresh() }
    const held = hold(clientId, 'Produce')
    maker.declare(target, withTtl(60_000)).catch(() => undefined)
    await held.reached
    await maker.disconnect(live)
    await user.declare(target, withTtl(50_000, 'take'))
    expect(await other.declare(target, declaration)).toMatchObject({ messageTtl: 50_000 })
    await expect(other.declare(target, withTtl(70_000))).rejects.toMatchObject({ code: 'MQ_QUEUE_CONFLICT' })
    held.letGo()
  })
})

describe('a queue that is made anew while it is deleted', () => {
  it('keeps the settings that it is made with', async () => {
    const clientId = fresh()
    const [remover, maker, user] = [await connect({ clientId }), await connect(), await connect()]
    const target = { queue: fresh() }
    await remover.declare(target, withTtl(60_000))
    const held = hold(clientId, 'DeleteGroups')
    const removed = remover.remove(target)
    await held.reached
    await maker.declare(target, withTtl(70_000))
    held.letGo()
    await removed
    expect(await user.declare(target, declaration)).toMatchObject({ messageTtl: 70_000 })
  })
})

describe('what another deletes', () => {
  it('while it is declared is made all the same', async () => {
    const clientId = fresh()
    const [maker, remover] = [await connect({ clientId }), await connect()]
    const target = { topic: fresh(), subscription: 's' }
    const held = hold(clientId, 'ListOffsets')
    const made = maker.declare(target, { ...declaration, pattern: '#' })
    await held.reached
    await remover.remove({ topic: target.topic })
    held.letGo()
    await made
    expect(await remover.size(target)).toBe(0)
  })

  it('is made anew by the next who declares a subscription of it', async () => {
    const [adapter, remover] = [await connect(), await connect()]
    const topic = fresh()
    await adapter.declare({ topic, subscription: 'a' }, { ...declaration, pattern: '#' })
    await remover.remove({ topic })
    await adapter.declare({ topic, subscription: 'b' }, { ...declaration, pattern: '#' })
    expect(await remover.size({ topic, subscription: 'b' })).toBe(0)
  })
})
