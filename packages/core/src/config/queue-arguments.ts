import { isData, isRecord } from './data.ts'
import type { Given, Report } from './parse.ts'
import { show } from './secrets.ts'

interface Portable {
  readonly field: string
  /** The value for the field, or `undefined` when the argument's value is none of its kind. */
  readonly read: (value: unknown) => unknown
  readonly expected: string
}

const positive =
  (most = Number.MAX_SAFE_INTEGER) =>
  (value: unknown): unknown =>
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most ? value : undefined

const OVERFLOWS = new Map<unknown, string>([
  ['drop-head', 'drop-oldest'],
  ['reject-publish', 'reject'],
])

/** RabbitMQ's names that mean the same on every broker. https://www.rabbitmq.com/docs/queues#optional-arguments */
const PORTABLE: Readonly<Record<string, Portable>> = {
  'x-message-ttl': { field: 'messageTtl', read: positive(), expected: 'ms, a whole number above 0' },
  'x-max-length': { field: 'maxLength', read: positive(), expected: 'a whole number above 0' },
  'x-max-length-bytes': {
    field: 'maxLengthBytes',
    read: positive(),
    expected: 'bytes, a whole number above 0',
  },
  'x-max-priority': { field: 'maxPriority', read: positive(255), expected: 'a whole number from 1 to 255' },
  'x-overflow': {
    field: 'overflow',
    read: (value) => OVERFLOWS.get(value),
    expected: '"drop-head" or "reject-publish"',
  },
}

/** Portable, but without a field of its own: stays among the arguments, and `queueSettings` takes it out. */
export const EXPIRES = 'x-expires'
const EXCHANGE = 'x-dead-letter-exchange'
const ROUTING_KEY = 'x-dead-letter-routing-key'

/** Folds the portable arguments into the fields that mean the same; what is left is for the broker itself. */
export function foldArguments(given: Given, report: Report): Given {
  const map = given['arguments']
  // The schema names what is wrong with it.
  if (!isRecord(map)) return given
  const rest: Record<string, unknown> = { ...map }
  const folded: Record<string, unknown> = { ...given }

  const fold = (argument: string, field: string, value: unknown): void => {
    const own = given[field]
    if (own === undefined) folded[field] = value
    else if (own !== value) {
      report(
        `arguments.${argument}`,
        show(rest[argument]),
        `the same as ${field} (${show(own)}), or only one of the two`,
      )
    }
  }

  for (const [argument, { field, read, expected }] of Object.entries(PORTABLE)) {
    if (!(argument in rest)) continue
    const value = read(rest[argument])
    if (value === undefined) report(`arguments.${argument}`, show(rest[argument]), expected)
    else fold(argument, field, value)
    delete rest[argument]
  }
  if (EXPIRES in rest && positive()(rest[EXPIRES]) === undefined) {
    report(`arguments.${EXPIRES}`, show(rest[EXPIRES]), 'ms, a whole number above 0')
  }
  if (EXCHANGE in rest || ROUTING_KEY in rest) {
    if (rest[EXCHANGE] !== '') {
      const reason = `'' with ${ROUTING_KEY} (the name of the dead-letter queue): other exchanges are not portable`
      report(`arguments.${EXCHANGE}`, EXCHANGE in rest ? show(rest[EXCHANGE]) : 'missing', reason)
    }
    if (typeof rest[ROUTING_KEY] !== 'string') {
      const value = ROUTING_KEY in rest ? show(rest[ROUTING_KEY]) : 'missing'
      report(`arguments.${ROUTING_KEY}`, value, `the name of the dead-letter queue, with ${EXCHANGE}: ''`)
    } else if (rest[EXCHANGE] === '') {
      fold(ROUTING_KEY, 'deadLetterQueue', rest[ROUTING_KEY])
    }
    delete rest[EXCHANGE]
    delete rest[ROUTING_KEY]
  }
  for (const [argument, value] of Object.entries(rest)) {
    if (isData(value)) continue
    report(
      `arguments.${argument}`,
      show(value),
      'a string, finite number, boolean, null, or arrays and objects of these',
    )
    delete rest[argument]
  }
  return { ...folded, arguments: rest }
}
