import assert from 'node:assert/strict'
import type { BrokerAdapter, Delivery, QueueSettings, Receiver, Source } from '@mq/core/adapter'
import type { TestContext } from '../context.ts'
import { declare, failure, outbound, plainSettings, source } from '../fixtures.ts'
import { eachOnce, later, numbers, receiveAll } from '../helpers.ts'
import { group } from '../item.ts'
import { within } from '../schedule.ts'

const DELAY_MS = 200

interface Scene {
  readonly t: TestContext
  readonly adapter: BrokerAdapter
  readonly queue: string
  /** Opens the one that will wait. It may fetch ahead: what another one is to have is taken before. */
  waiter(leaseMs?: number): Promise<Receiver>
  other(leaseMs?: number): Promise<Receiver>
}

interface Prepared {
  readonly receiver: Receiver
  /** Makes a message ready; answers which. */
  readonly happens: () => Promise<string>
}

/** Something after which a receiver that waits has something to answer with. */
interface Cause {
  readonly what: string
  readonly settings?: Partial<QueueSettings>
  readonly before: (scene: Scene) => Promise<Prepared>
}

/** Publishes one, and takes it. */
async function held(scene: Scene, by: Receiver): Promise<Delivery> {
  const { t, adapter, queue } = scene
  await adapter.publish([outbound({ queue })], t.deadline())
  const [delivery] = await receiveAll(t, by, 1)
  return delivery as Delivery
}

const RELEASED: Cause = {
  what: 'a release by the receiver itself',
  async before(scene) {
    const receiver = await scene.waiter()
    const delivery = await held(scene, receiver)
    return { receiver, happens: () => receiver.release([delivery]).then(() => delivery.id) }
  },
}

const RETRIED: Cause = {
  what: 'a retry that became due',
  async before(scene) {
    const receiver = await scene.waiter()
    const delivery = await held(scene, receiver)
    return { receiver, happens: () => receiver.retry([delivery], DELAY_MS).then(() => delivery.id) }
  },
}

const DELAYED: Cause = {
  what: 'a delayed message that became due',
  async before({ t, adapter, queue, waiter }) {
    const message = outbound({ queue }, { delayMs: DELAY_MS })
    const happens = () => adapter.publish([message], t.deadline()).then(() => message.id)
    return { receiver: await waiter(), happens }
  },
}

const CLOSED: Cause = {
  what: 'the end of another receiver',
  async before(scene) {
    const other = await scene.other()
    const delivery = await held(scene, other)
    const happens = () => other.close(scene.t.deadline()).then(() => delivery.id)
    return { receiver: await scene.waiter(), happens }
  },
}

const RAN_OUT: Cause = {
  what: 'a lease of another receiver that ran out',
  async before(scene) {
    const delivery = await held(scene, await scene.other(scene.t.leaseMs))
    return { receiver: await scene.waiter(), happens: () => Promise.resolve(delivery.id) }
  },
}

const OWN_RAN_OUT: Cause = {
  what: 'a lease of its own that ran out',
  async before(scene) {
    const receiver = await scene.waiter(scene.t.leaseMs)
    const delivery = await held(scene, receiver)
    return { receiver, happens: () => Promise.resolve(delivery.id) }
  },
}

const KEY_FREE: Cause = {
  what: 'the acknowledgement of what was before it in its key',
  settings: { ordered: true },
  async before({ t, adapter, queue, waiter }) {
    const receiver = await waiter()
    const messages = ['head', 'next'].map(() => outbound({ queue }, { key: 'k' }))
    await adapter.publish(messages, t.deadline())
    const head = await receiveAll(t, receiver, 1)
    return { receiver, happens: () => receiver.ack(head).then(() => messages[1]?.id ?? '') }
  },
}

const NEXT_DEAD: Cause = {
  ...KEY_FREE,
  what: 'the dead letter that was before it in its key',
  async before({ t, adapter, queue, waiter }) {
    const receiver = await waiter()
    const messages = ['head', 'next'].map(() => outbound({ queue }, { key: 'k' }))
    await adapter.publish(messages, t.deadline())
    const head = await receiveAll(t, receiver, 1)
    const dead = await declare(adapter, t.name('dead'))
    return {
      receiver,
      happens: () => receiver.deadLetter(head, [failure()], dead).then(() => messages[1]?.id ?? ''),
    }
  },
}

const DIED: Cause = {
  what: 'a message that was dead-lettered to it',
  async before({ t, adapter, queue, waiter }) {
    const target = await declare(adapter, t.name())
    const message = outbound(target)
    await adapter.publish([message], t.deadline())
    const other = await adapter.open(source(target, { mode: 'pull' }), () => undefined)
    const held = await receiveAll(t, other, 1)
    const happens = () => other.deadLetter(held, [failure()], { queue }).then(() => message.id)
    return { receiver: await waiter(), happens }
  },
}

/** Calls of `receive` that wait. */
export const waking = group('contract', (item) => {
  for (const mode of ['consume', 'pull'] as const) {
    item(`receive-woken-${mode}`, `receive (${mode}) answers whatever makes a message ready`, async (t) => {
      const { ownership, retryKeepsOrder } = t.capabilities
      const adapter = await t.connected()
      const causes = [RELEASED, RETRIED, DELAYED, CLOSED, DIED]
      if (ownership === 'lease') causes.push(RAN_OUT, OWN_RAN_OUT)
      if (retryKeepsOrder) causes.push(KEY_FREE, NEXT_DEAD)
      const one = async ({ what, settings, before }: Cause): Promise<void> => {
        const queue = t.name()
        const made = { ...plainSettings, ...settings }
        await adapter.declare({ queue }, { settings: made, pattern: undefined, ifExists: 'take' })
        const open = (over: Partial<Source>) =>
          adapter.open(source({ queue }, { prefetch: 1, ordered: made.ordered, ...over }), () => undefined)
        const { receiver, happens } = await before({
          t,
          adapter,
          queue,
          waiter: (leaseMs = 30_000) => open({ mode, prefetch: 2, leaseMs }),
          other: (leaseMs = 30_000) => open({ mode: 'pull', leaseMs }),
        })
        const waiting = later(receiver.receive(1, t.deadline(t.patienceMs * 4), t.patienceMs * 4))
        await t.quiet(50)
        const id = await within(t.clock, happens(), t.patienceMs, () => `${what} waited for a receive`)
        const got = await within(t.clock, waiting, t.patienceMs, () => `receive waited on after ${what}`)
        assert.deepEqual(
          got.map((delivery) => delivery.id),
          [id],
          what,
        )
      }
      await Promise.all(causes.map((cause) => later(one(cause))))
    })
  }

  item('receive-beside', 'while one receive waits, nothing else of its connection does', async (t) => {
    const adapter = await t.connected()
    const [idle, busy] = [{ queue: t.name('idle') }, { queue: t.name('busy') }]
    const declaration = { settings: plainSettings, pattern: undefined, ifExists: 'take' } as const
    for (const target of [idle, busy]) await adapter.declare(target, declaration)
    const [message, last] = [outbound(busy), outbound(idle)]
    const waiter = await adapter.open(source(idle), () => undefined)
    const waiting = later(waiter.receive(1, t.deadline(t.patienceMs * 4), t.patienceMs * 4))
    await t.quiet(50)
    const beside = <T>(what: string, work: Promise<T>): Promise<T> =>
      within(t.clock, later(work), t.patienceMs, () => `${what} waited for a receive`)
    const receiver = await beside(
      'open',
      adapter.open(source(busy), () => undefined),
    )
    const receiving = later(receiver.receive(1, t.deadline(t.patienceMs * 2), t.patienceMs * 2))
    await beside('publish', adapter.publish([message], t.deadline()))
    const got = await beside('another receive', receiving)
    assert.deepEqual(
      got.map(({ id }) => id),
      [message.id],
    )
    await beside('ack', receiver.ack(got))
    await beside('close', receiver.close(t.deadline()))
    await beside('ping', adapter.ping(t.deadline()))
    await beside('size', adapter.size(busy))
    await beside('purge', adapter.purge(busy))
    await beside('declare', adapter.declare({ queue: t.name() }, declaration))
    await beside('remove', adapter.remove(busy))
    await adapter.publish([last], t.deadline())
    const [delivery] = await within(t.clock, waiting, t.patienceMs, () => 'the first waited on')
    assert.equal(delivery?.id, last.id)
  })

  item('receive-both', 'receivers that wait all answer when as many messages come', async (t) => {
    const adapter = await t.connected()
    const queue = t.name()
    await adapter.declare({ queue }, { settings: plainSettings, pattern: undefined, ifExists: 'take' })
    const open = () => adapter.open(source({ queue }, { prefetch: 1 }), () => undefined)
    const receivers = await Promise.all(numbers(12).map(() => later(open())))
    const waiting = later(
      Promise.all(
        receivers.map((receiver) => receiver.receive(1, t.deadline(t.patienceMs * 4), t.patienceMs * 4)),
      ),
    )
    await t.quiet(50)
    const messages = receivers.map(() => outbound({ queue }))
    await adapter.publish(messages, t.deadline())
    const got = await within(t.clock, waiting, t.patienceMs, () => 'one of them waited on')
    eachOnce(
      got.flat().map(({ id }) => id),
      messages.map(({ id }) => id),
    )
  })
})
