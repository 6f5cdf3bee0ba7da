import { runCommand } from '../command.ts'
import { brokerError } from '../errors.ts'
import { addressList, checkAnswers, endpoints } from '../sources/environment.ts'
import { findBinary } from '../sources/find-binary.ts'
import type { BrokerName } from '../types.ts'
import type { Launched } from './launched.ts'

/** The server that the environment names: used as it is, never hurt, never stopped. */
export async function environmentBroker(
  name: BrokerName,
  address: { variable: string; url: string },
): Promise<Launched> {
  await checkAnswers(address)
  const refuse = (what: string): never => {
    throw brokerError(
      'BROKER_NOT_OWNED',
      `cannot ${what} ${name}: it comes from ${address.variable}; unset that, or pass { fresh: true }`,
    )
  }
  const urls = name === 'kafka' ? addressList(address.url) : [address.url]
  return {
    broker: {
      name,
      url: address.url,
      urls,
      owned: false,
      details: { variable: address.variable },
      stop: () => Promise.resolve(),
      kill: async () => refuse('kill'),
      start: async () => refuse('start'),
      restart: async () => refuse('restart'),
      freeze: () => refuse('freeze'),
      thaw: () => refuse('thaw'),
      run: async (...args) => {
        if (name !== 'redis') return refuse('administer')
        const cli = findBinary('redis-cli')
        if (cli === undefined) throw brokerError('BROKER_MISSING', 'redis-cli is not on the PATH')
        const { host, port } = endpoints(address.url)[0] ?? { host: '127.0.0.1', port: 6379 }
        const { username, password } = new URL(address.url)
        const login = password ? ['--user', decodeURIComponent(username) || 'default'] : []
        return runCommand(cli, ['-h', host, '-p', String(port), ...login, ...args], {
          env: { ...process.env, REDISCLI_AUTH: decodeURIComponent(password) },
        })
      },
    },
    nodes: [],
    folders: [],
  }
}
