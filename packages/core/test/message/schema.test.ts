import { describe, expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { validatorOf } from '../../src/message/schema.ts'
import type { StandardSchemaV1 } from '../../src/message/standard-schema.ts'

function standard(validate: StandardSchemaV1['~standard']['validate'], extra: object = {}): StandardSchemaV1 {
  return { ...extra, '~standard': { version: 1, vendor: 'test', validate } }
}

describe('a TypeBox schema', () => {
  const validate = validatorOf(
    Type.Object({ sensor: Type.String(), value: Type.Number() }, { additionalProperties: false }),
  )

  it('passes the body as it is', () => {
    const body = { sensor: 'a', value: 1 }
    expect(validate(body)).toBe(body)
  })

  it('names every problem, with its path', () => {
    expect(() => validate({ sensor: 1, value: 'x' })).toThrow(/\/sensor .*; \/value /)
    expect(() => validate(null)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('is compiled once', () => {
    const schema = Type.String()
    expect(validatorOf(schema)).toBe(validatorOf(schema))
  })
})

describe('what is no schema is refused, for it would let every body pass:', () => {
  class Dto {
    sensor = ''
  }
  const parse = () => undefined
  it.each<[string, unknown, string]>([
    ['a class', Dto, 'a function or class, Dto'],
    ['a function', () => true, 'a function or class, without a name'],
    ['an instance', new Dto(), 'an instance of a class'],
    ['an array', [], 'an array'],
    ['a validator that can parse', { parse }, 'a method parse'],
    ['one that can safeParse', { safeParse: parse }, 'a method safeParse'],
    ['one that can validate', Object.assign(new Dto(), { validate: parse }), 'a method validate'],
    ['a number', 5, '5'],
    ['null', null, 'null'],
  ])('%s', (_name, none, told) => {
    expect(() => validatorOf(none as never)).toThrow(
      expect.objectContaining({ code: 'MQ_VALIDATION', message: expect.stringContaining(told) }),
    )
  })

  it('by the compiler, too', () => {
    const refused = () => {
      // @ts-expect-error a class
      validatorOf(Dto)
      // @ts-expect-error a function
      validatorOf(() => true)
      // @ts-expect-error an array
      validatorOf([])
      // @ts-expect-error a validator without the Standard Schema interface
      validatorOf({ parse })
    }
    expect(refused).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })
})

describe('a JSON Schema', () => {
  it.each([[{ type: 'number' }], [Object.assign(Object.create(null) as object, { type: 'number' })]])(
    'will do: %j',
    (schema) => {
      expect(validatorOf(schema)(1)).toBe(1)
      expect(() => validatorOf(schema)('x')).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
    },
  )

  it('that is typed loosely will do', () => {
    const loose: Record<string, unknown> = { type: 'number' }
    const fixed = { type: 'object', properties: { value: { type: 'number' } }, required: ['value'] } as const
    expect(validatorOf(loose)(1)).toBe(1)
    expect(() => validatorOf(fixed)({})).toThrow('value')
  })
})

describe('a Standard Schema', () => {
  it('may change the body', () => {
    expect(validatorOf(standard((value) => ({ value: Number(value) })))('7')).toBe(7)
  })

  it('names its issues, paths of both forms included', () => {
    const issues = [{ message: 'is bad', path: ['a', { key: 0 }] }, { message: 'is worse' }]
    expect(() => validatorOf(standard(() => ({ issues })))(1)).toThrow(
      'The body does not match the schema: /a/0 is bad; is worse',
    )
  })

  it('shows ten issues of many', () => {
    const issues = Array.from({ length: 12 }, (_, i) => ({ message: `problem ${i}` }))
    expect(() => validatorOf(standard(() => ({ issues })))(1)).toThrow(/problem 9; and 2 more$/)
  })

  it('that is asynchronous is refused, whatever it then rejects with', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    const thenable = { then: () => undefined } as unknown as Promise<never>
    for (const answer of [Promise.resolve({ value: 1 }), Promise.reject(new Error('late')), thenable])
      expect(() => validatorOf(standard(() => answer))(1)).toThrow('asynchronous')
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })

  it('that throws, or answers nothing, refuses the body', () => {
    const cause = new TypeError('boom')
    const throwing = standard(() => {
      throw cause
    })
    expect(() => validatorOf(throwing)(1)).toThrow(
      expect.objectContaining({
        code: 'MQ_VALIDATION',
        message: 'The schema failed at the body: boom',
        cause,
      }),
    )
    const silent = standard(() => undefined as never)
    expect(() => validatorOf(silent)(1)).toThrow(expect.objectContaining({ code: 'MQ_VALIDATION' }))
  })

  it('may be a function', () => {
    const type = Object.assign(
      () => undefined,
      standard((value) => ({ value })),
    )
    expect(validatorOf(type)(1)).toBe(1)
  })

  it('wins over other methods of a validator that has both', () => {
    const zodLike = standard(
      (value) => (typeof value === 'string' ? { value } : { issues: [{ message: 'Expected string' }] }),
      {
        parse: () => {
          throw new Error('not asked')
        },
        type: 'string',
      },
    )
    expect(validatorOf(zodLike)('a')).toBe('a')
    expect(() => validatorOf(zodLike)(1)).toThrow('Expected string')
  })
})
