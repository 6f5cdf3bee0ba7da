import { parseArgs } from 'node:util'
import { down, status, up } from './cli/commands.ts'
import { codeOf, messageOf } from './errors.ts'
import { brokerNames, type BrokerName } from './types.ts'

const usage = `usage: brokers up|down|status [name...]

  up      start real servers on loopback and wait until they answer (default: redis)
  down    stop what up started (default: all of it)
  status  show what up started

  names:   ${brokerNames.join(', ')}
  options of up: --tls  --acl (Redis)  --sasl (Kafka)  --port NUMBER`

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(`${usage}\n`)
    return 0
  }
  const request = parse(argv)
  if (typeof request === 'string') {
    process.stderr.write(`${request}\n${usage}\n`)
    return 2
  }
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const { command, names, options } = request
  try {
    if (command === 'up') await up(names, options, print)
    else if (command === 'down') await down(names, print)
    else await status(names, print)
    return 0
  } catch (error) {
    const stack = codeOf(error) === undefined ? (error as { stack?: string }).stack : undefined
    process.stderr.write(`${stack ?? messageOf(error)}\n`)
    return 1
  }
}

function parse(argv: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        tls: { type: 'boolean' },
        acl: { type: 'boolean' },
        sasl: { type: 'boolean' },
        port: { type: 'string' },
      },
    })
    const [command, ...names] = positionals
    if (command !== 'up' && command !== 'down' && command !== 'status') {
      return command === undefined ? 'no command' : `unknown command "${command}"`
    }
    const unknown = names.find((name) => !(brokerNames as readonly string[]).includes(name))
    if (unknown !== undefined) return `unknown broker "${unknown}"`
    if (command === 'up' && names.length === 0) names.push('redis')
    const refused = refusal(command, names, Object.keys(values))
    if (refused !== undefined) return refused
    const { port, ...flags } = values
    if (port !== undefined && !(/^\d+$/.test(port) && Number(port) > 0 && Number(port) < 65_536))
      return `"${port}" is not a port`
    const options = { ...flags, ...(port === undefined ? {} : { port: Number(port) }) }
    return { command, names: names as BrokerName[], options } as const
  } catch (error) {
    return messageOf(error)
  }
}

/** Which brokers have the option; those that are not here are for all. */
const owners: Readonly<Record<string, string>> = { acl: 'redis', sasl: 'kafka' }

/** What is ignored would be believed to hold. */
function refusal(command: string, names: readonly string[], options: readonly string[]): string | undefined {
  if (command !== 'up') return options.length > 0 ? `${command} has no --${options[0]}` : undefined
  for (const option of options) {
    const other = names.find((name) => !name.startsWith(owners[option] ?? ''))
    if (other !== undefined) return `${other} has no --${option}`
  }
  return options.includes('port') && names.length > 1 ? '--port is for one broker' : undefined
}

process.exitCode = await main(process.argv.slice(2))
