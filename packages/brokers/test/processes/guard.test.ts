import { describe, expect, it } from '@jest/globals'
import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { respCommand } from '../../src/net/resp.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'
import { waitUntil } from '../../src/wait.ts'
import { sourceFile, startScript } from '../helpers/scripts.ts'

const program = `
import { startBroker } from ${JSON.stringify(sourceFile('index.ts'))}
const redis = await startBroker('redis', { fresh: true })
console.log(redis.url, (await redis.run('CONFIG', 'GET', 'dir')).split('\\n')[1])
if (process.env.ENDS !== 'by itself') setInterval(() => {}, 1000)
`

describe('a server', () => {
  it.each([
    ['is killed', 'SIGKILL'],
    ['is interrupted', 'SIGINT'],
    ['ends without a word', undefined],
  ] as const)(
    'ends with its parent and its data when that %s',
    async (_name, signal) => {
      const env = { ...process.env, ENDS: signal ?? 'by itself' }
      const parent = startScript(['--input-type=module', '--eval', program], env)
      const over = once(parent, 'exit')
      const [line] = (await once(parent.stdout!, 'data')) as [Buffer]
      const [url = '', folder = ''] = line.toString().trim().split(' ')
      const port = Number(new URL(url).port)
      if (signal) {
        expect(await respCommand({ host: '127.0.0.1', port }, 'PING')).toBe('PONG')
        parent.kill(signal)
      }
      await over
      const gone = await waitUntil(
        () =>
          tcpAnswers('127.0.0.1', port).then(
            () => false,
            () => true,
          ),
        20_000,
      )
      expect(gone).toBe(true)
      expect(await waitUntil(() => !existsSync(folder), 20_000)).toBe(true)
    },
    90_000,
  )
})
