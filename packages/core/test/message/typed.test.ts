import { describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import {
  defineQueue,
  defineTopic,
  isQueueRef,
  resolveQueue,
  resolveTarget,
  resolveTopic,
  subscription,
} from '../../src/message/typed.ts'
import { Message } from '../../src/message/message.ts'
import type { BodyOf, InputOf } from '../../src/message/schema.ts'
import type { StandardSchemaV1 } from '../../src/message/standard-schema.ts'

const schema = Type.Object({ value: Type.Number() })
const refused = expect.objectContaining({ code: 'MQ_VALIDATION' })

describe('defineQueue and defineTopic', () => {
  it.each([undefined, null, 5, 'string'] as never[])('refuse %p as a schema', (none) => {
    expect(() => defineQueue('x', { schema: none })).toThrow(refused)
    expect(() => defineTopic('x', { schema: none })).toThrow(refused)
  })

  it('refuse options that they do not have', () => {
    expect(() => defineQueue('x', { schema, maxLenght: 1 } as never)).toThrow(/did you mean "maxLength"/)
    expect(() => defineTopic('x', { schema, patern: '#' } as never)).toThrow(refused)
  })
})

describe('defineQueue', () => {
  it('carries name, configuration and schema', () => {
    const queue = defineQueue('readings', { schema, maxLength: 10 })
    expect(queue).toMatchObject({
      name: 'readings',
      schema,
      config: { name: 'readings', maxLength: 10, durable: true },
    })
    const { target, label, config, validate } = resolveQueue(queue)
    expect([target, label, config]).toEqual([{ queue: 'readings' }, 'readings', queue.config])
    expect(validate?.({ value: 1 })).toEqual({ value: 1 })
    expect(() => validate?.({ value: 'x' })).toThrow('/value')
  })

  it('refuses what is no name or no configuration', () => {
    expect(() => defineQueue('a b', { schema })).toThrow(refused)
    expect(() => defineQueue('a', { schema, size: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'MQ_CONFIGURATION' }),
    )
  })
})

describe('subscription', () => {
  it('names one subscription, and has the schema of its topic', () => {
    const topic = defineTopic('events', { schema })
    const resolved = resolveQueue(subscription(topic, 'billing'))
    expect(resolved).toMatchObject({
      target: { topic: 'events', subscription: 'billing' },
      label: 'events/billing',
    })
    expect(() => resolved.validate?.(1)).toThrow(refused)
    expect(resolveQueue(subscription('events', 'billing')).validate).toBeUndefined()
    expect(resolveTarget(resolved.target).label).toBe('events/billing')
  })

  it('refuses what is no name', () => {
    expect(() => subscription('a/b', 'c')).toThrow('topic name')
    expect(() => subscription('a', '')).toThrow('subscription name')
    expect(() => resolveTopic(7 as never)).toThrow(refused)
    expect(() => resolveTopic(defineQueue('q', { schema }) as never)).toThrow(refused)
  })
})

describe('a queue argument', () => {
  it('is a name, a typed queue or a subscription', () => {
    expect(resolveQueue('orders')).toEqual({
      target: { queue: 'orders' },
      label: 'orders',
      config: undefined,
      validate: undefined,
    })
    expect(resolveTarget({ queue: 'orders' }).label).toBe('orders')
  })

  it.each([[undefined], [null], [7], [{}], [{ queue: 'a' }], [defineTopic('t', { schema })], ['']])(
    'is not %p',
    (value) => {
      expect(() => resolveQueue(value as never)).toThrow(refused)
    },
  )

  it('is told from a message', () => {
    expect(['q', defineQueue('q', { schema }), subscription('t', 's')].every(isQueueRef)).toBe(true)
    expect([new Message(), { queueName: 'q' }, null, undefined].some(isQueueRef)).toBe(false)
  })
})

describe('the type of a body', () => {
  // What the compiler makes of these is the test.
  it('is that of the definition', () => {
    const queue = defineQueue('readings', { schema })
    const topic = defineTopic('events', { schema })
    const audit = subscription(topic, 'audit')
    const bodies: [BodyOf<typeof queue>, InputOf<typeof queue>, BodyOf<typeof topic>, BodyOf<typeof audit>] =
      [{ value: 1 }, { value: 2 }, { value: 3 }, { value: 4 }]
    // @ts-expect-error no number
    const wrong: BodyOf<typeof queue> = { value: 'x' }
    expect([queue, audit, bodies, wrong]).toBeDefined()
  })

  it('of a Standard Schema is what comes out, and what goes in', () => {
    const text: StandardSchemaV1<string, number> = {
      '~standard': { version: 1, vendor: 'test', validate: (body) => ({ value: Number(body) }) },
    }
    const queue = defineQueue('numbers', { schema: text })
    const out: BodyOf<typeof queue> = 1
    const input: InputOf<typeof queue> = '1'
    // @ts-expect-error what goes in
    const wrong: BodyOf<typeof queue> = '1'
    expect([queue, out, input, wrong]).toBeDefined()
  })

  it('of a schema of TypeBox before 1.0 is its own', () => {
    const old = { type: 'object' } as unknown as {
      params: unknown[]
      static: { value: number }
      type: 'object'
    }
    const queue = defineQueue('readings', { schema: old })
    const right: BodyOf<typeof queue> = { value: 1 }
    // @ts-expect-error no number
    const wrong: BodyOf<typeof queue> = { value: 'x' }
    expect([queue, right, wrong]).toBeDefined()
  })
})
