import {
  AdapterError,
  adapterErrorOf,
  type BrokerAdapter,
  type ConnectionEvents,
  type Receiver,
  untilAborted,
} from '@mq/core/adapter'
import type { Clock } from '@mq/core'
import type { Link } from './types.ts'
import { deadline, realClock, sleep } from './schedule.ts'

/** One call that core made of an adapter or of one of its receivers. */
export interface Call {
  readonly operation: string
  readonly args: readonly unknown[]
}

/** Answers a call in place of the adapter; `forward` makes the real one. */
export type Intercept = (forward: () => Promise<unknown>, args: readonly unknown[]) => Promise<unknown>

/** An adapter that can be watched, disturbed and cut off. */
export interface Faulty extends Link {
  /** Calls so far, in order: `connect`, `publish`, `open`, `receive`, `ack`, … */
  readonly calls: readonly Call[]
  /** Replaces one operation; `null` restores it. */
  intercept(operation: string, intercept: Intercept | null): void
  /** Tells core that the broker accepts nothing for now. */
  setBlocked(reason: string | null): void
  cut(): void
  setDown(down: boolean): void
  setBlackHole(on: boolean): void
  setDelay(ms: number): void
  /** The process dies: nothing is told to anybody. Leases run out, or the connection breaks. */
  crash(): Promise<void>
}

/** Wraps an adapter; does nothing until asked to. */
export function faulty(inner: BrokerAdapter, clock: Clock = realClock): Faulty {
  const calls: Call[] = []
  const intercepts = new Map<string, Intercept>()
  let events: ConnectionEvents | null = null
  let epoch = newEpoch()
  let closing: Promise<unknown> = Promise.resolve()
  let down = false
  let hole = false
  let crashed = false
  let delayMs = 0

  async function run<T>(
    operation: string,
    args: readonly unknown[],
    real: () => Promise<T>,
    owner = epoch,
  ): Promise<T> {
    calls.push({ operation, args })
    if (crashed || hole) return owner.gone
    if (owner.dead) throw connectionError()
    if (delayMs > 0) await sleep(clock, delayMs)
    const intercept = intercepts.get(operation)
    const work = intercept === undefined ? real() : (intercept(real, args) as Promise<T>)
    const answer = await Promise.race([work, owner.gone])
    if (delayMs > 0) await sleep(clock, delayMs)
    // An answer that was on its way is not heard any more.
    return crashed || hole ? owner.gone : answer
  }

  function drop(): void {
    if (epoch.dead) return
    epoch.dead = true
    epoch.break()
    closing = inner.disconnect(AbortSignal.abort()).catch(() => undefined)
  }

  function cut(): void {
    const telling = events
    const was = epoch.dead
    drop()
    if (!was) telling?.lost(connectionError())
  }

  const adapter: BrokerAdapter = {
    broker: inner.broker,
    ...(inner.pace === undefined ? {} : { pace: inner.pace }),
    get capabilities() {
      return inner.capabilities
    },
    async connect(on, signal) {
      calls.push({ operation: 'connect', args: [on, signal] })
      await untilAborted(closing, signal)
      if (hole || crashed) return untilAborted(new Promise<never>(() => undefined), signal)
      if (down) throw connectionError()
      const intercept = intercepts.get('connect')
      const mine = newEpoch()
      const real = () =>
        inner.connect(
          { lost: (cause) => !mine.dead && on.lost(cause), blocked: (reason) => on.blocked(reason) },
          signal,
        )
      await (intercept === undefined ? real() : intercept(real, [on, signal]))
      events = on
      epoch = mine
    },
    async disconnect(signal) {
      calls.push({ operation: 'disconnect', args: [signal] })
      if (hole || crashed) return drop()
      if (epoch.dead) {
        await closing
        return
      }
      const intercept = intercepts.get('disconnect')
      const real = () => inner.disconnect(signal)
      await (intercept === undefined ? real() : intercept(real, [signal]))
      epoch.dead = true
    },
    ping: (signal) => run('ping', [signal], () => inner.ping(signal)),
    publish: (batch, signal) => run('publish', [batch, signal], () => inner.publish(batch, signal)),
    async open(source, lost) {
      const owner = epoch
      const receiver = await run('open', [source], () =>
        inner.open(source, (ds, cause) => !hole && lost(ds, cause)),
      )
      return wrapReceiver(receiver, owner)
    },
    async openReplies() {
      const owner = epoch
      const { address, receiver } = await run('openReplies', [], () => inner.openReplies())
      return { address, receiver: wrapReceiver(receiver, owner) }
    },
    declare: (target, declaration) =>
      run('declare', [target, declaration], () => inner.declare(target, declaration)),
    remove: (target) => run('remove', [target], () => inner.remove(target)),
    purge: (target) => run('purge', [target], () => inner.purge(target)),
    size: (target) => run('size', [target], () => inner.size(target)),
    classify: (error) => adapterErrorOf(error) ?? inner.classify(error),
  }

  function wrapReceiver(receiver: Receiver, owner: Epoch): Receiver {
    return {
      receive: (max, signal, waitMs) =>
        run('receive', [max, signal, waitMs], () => receiver.receive(max, signal, waitMs), owner),
      ack: (ds) => run('ack', [ds], () => receiver.ack(ds), owner),
      release: (ds) => run('release', [ds], () => receiver.release(ds), owner),
      retry: (ds, ms) => run('retry', [ds, ms], () => receiver.retry(ds, ms), owner),
      deadLetter: (ds, failures, target) =>
        run('deadLetter', [ds, failures, target], () => receiver.deadLetter(ds, failures, target), owner),
      renew: (ds) => run('renew', [ds], () => receiver.renew(ds), owner),
      async close(signal) {
        if (hole || crashed || owner.dead) return
        await run('close', [signal], () => receiver.close(signal), owner)
      },
    }
  }

  return {
    adapter,
    calls,
    intercept: (operation, intercept) =>
      void (intercept === null ? intercepts.delete(operation) : intercepts.set(operation, intercept)),
    setBlocked: (reason) => events?.blocked(reason),
    cut,
    setDown(value) {
      down = value
      if (value) cut()
    },
    setBlackHole: (on) => void (hole = on),
    setDelay: (ms) => void (delayMs = ms),
    async crash() {
      crashed = true
      // A lease runs out by itself; where the connection is the owner, its end is what the broker sees.
      if (inner.capabilities.ownership === 'connection')
        await inner.disconnect(AbortSignal.abort()).catch(() => undefined)
    },
    async close() {
      await inner.disconnect(deadline(clock, 2000)).catch(() => undefined)
    },
  }
}

/** One connection: calls made of it fail together when it breaks. */
interface Epoch {
  dead: boolean
  readonly gone: Promise<never>
  break(): void
}

function newEpoch(): Epoch {
  let fail: (error: unknown) => void = () => undefined
  const gone = new Promise<never>((_, reject) => (fail = reject))
  gone.catch(() => undefined)
  return { dead: false, gone, break: () => fail(connectionError()) }
}

export function connectionError(): AdapterError {
  return new AdapterError('MQ_CONNECTION', 'the connection was cut by the conformance suite', {
    retryable: true,
  })
}

export function refusedCredentials(): AdapterError {
  return new AdapterError('MQ_AUTHENTICATION', 'the broker refused the credentials', { retryable: false })
}
