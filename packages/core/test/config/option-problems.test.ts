import { expect, it } from '@jest/globals'
import { Type } from 'typebox'
import { optionProblems } from '../../src/config/option-problems.ts'

const Tls = Type.Object(
  { ca: Type.Optional(Type.String()), verify: Type.Boolean({ default: true }) },
  { additionalProperties: false },
)
const Address = Type.Object({ host: Type.String(), port: Type.Integer({ maximum: 65_535 }) })
const Options = Type.Object(
  {
    host: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Optional(Type.Integer({ minimum: 1 })),
    acks: Type.Optional(Type.Enum(['all', 'none'])),
    tls: Type.Optional(Type.Union([Type.Boolean(), Tls])),
    nodes: Type.Optional(Type.Array(Address, { minItems: 1 })),
    brokers: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String())])),
  },
  { additionalProperties: false },
)

it.each<[unknown, string[]]>([
  [{}, []],
  [{ host: 'h', port: 1, acks: 'all', tls: { verify: false }, nodes: [{ host: 'h', port: 1 }] }, []],
  [{ prot: 1, secret: 'x' }, ['prot: no such option (did you mean "port"?)', 'secret: no such option']],
  [{ acks: 'sure' }, ['acks must be one of all, none']],
  [{ tls: 'yes' }, ['tls must be boolean or object']],
  [{ tls: { ca: 1 } }, ['tls.ca must be string']],
  [{ tls: { verify: true, certificate: 'x' } }, ['tls.certificate: no such option']],
  [{ tls: { verify: true, CA: 'x' } }, ['tls.CA: no such option (did you mean "ca"?)']],
  [
    { nodes: [{ host: 'h', port: 70_000 }, { port: 1 }] },
    ['nodes.0.port must be <= 65535', 'nodes.1.host is missing'],
  ],
  [{ brokers: 5 }, ['brokers must be string or array']],
  [{ brokers: ['a', 5] }, ['brokers.1 must be string']],
  [{ brokers: '' }, ['brokers must not have fewer than 1 characters']],
  ['nothing of the kind', ['options must be object']],
])('what is wrong with %j is told once, where it is and what belongs there', (options, problems) => {
  expect(optionProblems(Options, options)).toEqual(problems)
})
