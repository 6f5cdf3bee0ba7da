import { expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { ConfigurationError, readOptions } from '../../src/adapter/index.ts'

const Options = Type.Object(
  {
    url: Type.Optional(Type.String()),
    tls: Type.Optional(Type.Object({ verify: Type.Boolean({ default: true }) })),
    port: Type.Integer({ default: 1234 }),
  },
  { additionalProperties: false },
)
const timer = setTimeout(() => undefined, 0).unref()
const read = (options: unknown) => readOptions(Options, options as object, 'Example', '{ url }')

it('defaults take the place of what is not given, or undefined', () => {
  const { values, problems } = read({ url: undefined, tls: {} })
  expect(problems).toEqual([])
  expect(values).toStrictEqual({ tls: { verify: true }, port: 1234 })
})

it('what is given stays as it is, and may be changed later without effect', () => {
  const given = { tls: {} as { verify?: boolean } }
  const { values } = read(given)
  given.tls.verify = false
  expect(given).toEqual({ tls: { verify: false } })
  expect(values.tls).toEqual({ verify: true })
})

it('the logger that is given is answered, and otherwise one that takes every call', () => {
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  expect(read({ logger }).logger).toBe(logger)
  expect(read({}).logger.warn({}, 'unheard')).toBeUndefined()
})

it('what cannot be copied is a problem like any other', () => {
  const loop: { self?: unknown } = {}
  loop.self = loop
  expect(read({ port: () => 1, onLost: () => undefined, loop, timer }).problems).toEqual([
    'onLost: no such option',
    'loop: no such option',
    'timer: no such option',
    'port must be integer',
  ])
})

it('any object will do that has the options, such as a module', async () => {
  const config = (await import('./options-module.ts')) as object
  expect(read(config).values).toStrictEqual({ url: 'redis://host', port: 1234 })
  expect(read(Object.assign(Object.create(null), { port: 1 })).values).toStrictEqual({ port: 1 })
})

it.each([
  ['text', 'redis://host'],
  ['a URL', new URL('redis://host')],
  ['nothing', null],
  ['a list', [{ url: 'redis://host' }]],
  ['a function', () => ({})],
])('%s is no object of options', (_, options) => {
  expect(() => read(options)).toThrow(
    new ConfigurationError('Example options are an object, such as { url }'),
  )
})
