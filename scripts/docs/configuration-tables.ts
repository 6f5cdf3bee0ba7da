import * as core from '@mq/core'
import { VARIABLES } from '../../packages/core/src/config/env.ts'
import { expectation, type FieldNotes } from '../../packages/core/src/config/field.ts'

type Field = Parameters<typeof expectation>[0] & { default?: unknown; properties?: Record<string, Field> }

/** In the order in which a reader meets them; the path is where a field stands in a `MessageQueueConfig`. */
const schemas = [
  { name: 'MessageQueueConfig', path: '', schema: core.MessageQueueConfig },
  { name: 'ConnectionConfig', path: 'connection', schema: core.ConnectionConfig },
  { name: 'MessageConfig', path: 'message', schema: core.MessageConfig },
  { name: 'ProducerConfig', path: 'producer', schema: core.ProducerConfig },
  { name: 'ConsumerConfig', path: 'consumer', schema: core.ConsumerConfig },
  { name: 'QueueConfig', path: 'defaultQueueConfig', schema: core.QueueConfig },
]

const nested = new Set(schemas.map(({ path }) => path))

/** A cell of a table: its pipes would end it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

function defaultOf(field: Field & Partial<FieldNotes>): string {
  if (field.defaultText !== undefined) return field.defaultText
  if (field.default === null) return 'none'
  if (field.default === undefined) return 'required'
  return `\`${typeof field.default === 'string' ? field.default : JSON.stringify(field.default)}\``
}

function brokersOf({ brokers }: Partial<FieldNotes>): string {
  return brokers === undefined ? 'all' : brokers.join(', ')
}

function row(name: string, field: Field & Partial<FieldNotes>): string {
  const cells = [
    `\`${name}\``,
    cell(field.description ?? ''),
    cell(expectation(field)),
    cell(field.unit ?? ''),
    cell(defaultOf(field)),
    brokersOf(field),
  ]
  return `| ${cells.join(' | ')} |`
}

function table(path: string, fields: Record<string, Field>): string {
  const rows = Object.entries(fields)
    // The sections of a MessageQueueConfig have tables of their own.
    .filter(([name]) => path !== '' || !nested.has(name))
    .map(([name, field]) => row(name, field))
  return [
    '| field | what | takes | unit | default | used by |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

/** Every field of every configuration, from the schemas that parse it. */
export function configurationTables(): string {
  return schemas
    .map(({ name, path, schema }) => {
      const where = path === '' ? '' : `, in \`MessageQueueConfig.${path}\``
      const { properties = {} } = schema as unknown as Field
      return `### ${name}\n\nFields of \`${name}\`${where}:\n\n${table(path, properties)}`
    })
    .join('\n\n')
}

/** Every environment variable that `fromEnv` reads. */
export function environmentTable(): string {
  const rows = VARIABLES.map(
    ({ name, path, kind, secret }) =>
      `| \`${name}\` | \`${path}\` | ${kind}${secret ? ', never shown' : ''} |`,
  )
  return ['| variable | field | kind |', '| --- | --- | --- |', ...rows].join('\n')
}
