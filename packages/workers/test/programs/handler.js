import { setImmediate, setInterval } from 'node:timers'
import { isMainThread, threadId } from 'node:worker_threads'

// As those of @mq/core are called; these programs run without a build.
class RejectError extends Error {
  name = 'RejectError'
}
class RetryError extends Error {
  name = 'RetryError'
  delayMs = 5
}

export default async function ({ body, headers }, { attempt }) {
  switch (body.do) {
    case 'describe':
      return { isMainThread, header: headers['a'], attempt }
    case 'thread':
      return threadId
    case 'together': {
      // Goes on once `count` threads have arrived: they must run at the same time.
      const word = new Int32Array(body.shared)
      Atomics.add(word, 0, 1)
      while (Atomics.load(word, 0) < body.count) await new Promise((resolve) => setImmediate(resolve))
      return threadId
    }
    case 'tick': {
      const word = new Int32Array(body.shared)
      setInterval(() => Atomics.add(word, 0, 1), 1)
      return 'ticking'
    }
    case 'spin':
      Atomics.store(new Int32Array(body.shared), 0, 1)
      for (;;);
    case 'stuck':
      for (;;);
    case 'exit':
      return process.exit(3)
    case 'crash':
      return new Promise(() =>
        setImmediate(() => {
          throw new Error('uncaught')
        }),
      )
    case 'throw':
      throw Object.assign(new RangeError('too far'), { code: 'E_FAR' })
    case 'text':
      throw 'just text'
    case 'reject':
      throw new RejectError('never')
    case 'retry':
      if (attempt === 1) throw new RetryError('later')
      return 'at last'
    // Of subclasses, which have the code of their base.
    case 'reject as NoImage':
      throw Object.assign(new Error('never'), { name: 'NoImage', code: 'MQ_REJECT' })
    case 'retry as Busy':
      if (attempt === 1)
        throw Object.assign(new Error('later'), { name: 'Busy', code: 'MQ_RETRY', delayMs: 5 })
      return 'at last'
    case 'unreadable':
      throw new Proxy(
        {},
        {
          get() {
            throw new Error('trapped')
          },
        },
      )
    case 'symbol':
      return Symbol('never')
    case 'function':
      return () => 1
    default:
      return body.do
  }
}
