import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { startBroker, type RunningBroker } from '../../src/index.ts'
import { amqpLogin, type AmqpLogin } from '../../src/net/amqp.ts'
import { tcpAnswers } from '../../src/net/tcp.ts'
import { tlsHandshake } from '../helpers/tls-handshake.ts'

const login = (broker: RunningBroker, vhost = '/'): AmqpLogin => {
  const { hostname, port, username, password } = new URL(broker.url)
  return { host: hostname, port: Number(port), username, password, vhost }
}

describe('a RabbitMQ server', () => {
  let rabbit: RunningBroker

  beforeAll(async () => {
    rabbit = await startBroker('rabbitmq', { fresh: true, extra: { heartbeat: '7' } })
  }, 600_000)

  afterAll(() => rabbit.stop(), 60_000)

  it('answers on loopback under a name of its own', async () => {
    expect(rabbit.url).toMatch(/^amqp:\/\/guest:guest@127\.0\.0\.1:\d+$/)
    expect(await amqpLogin(login(rabbit))).toBe(rabbit.details['version'])
    expect(rabbit.details['nodes']).toBe(`mq${new URL(rabbit.url).port}@localhost`)
    const listeners = await rabbit.run('rabbitmq-diagnostics', 'listeners')
    expect(listeners).toContain(`Interface: 127.0.0.1, port: ${new URL(rabbit.url).port}`)
    expect(listeners).not.toContain('[::]')
    expect(await rabbit.run('eval', '{ok, H} = application:get_env(rabbit, heartbeat), H.')).toBe('7')
  }, 90_000)

  it('refuses a wrong password and an unknown virtual host', async () => {
    await expect(amqpLogin({ ...login(rabbit), password: 'wrong' })).rejects.toThrow()
    await expect(amqpLogin(login(rabbit, 'nowhere'))).rejects.toThrow('nowhere')
  })

  it('keeps its data through kill -9', async () => {
    await rabbit.run('add_vhost', 'survivors')
    await rabbit.run('eval', 'mnesia:sync_log().')
    await rabbit.kill()
    await expect(tcpAnswers('127.0.0.1', login(rabbit).port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await rabbit.start()
    await rabbit.run('set_permissions', '-p', 'survivors', 'guest', '.*', '.*', '.*')
    expect(await amqpLogin(login(rabbit, 'survivors'))).toBe(rabbit.details['version'])
  }, 180_000)

  it('accepts connections and stays silent while frozen', async () => {
    rabbit.freeze()
    try {
      await tcpAnswers('127.0.0.1', login(rabbit).port)
      await expect(amqpLogin(login(rabbit), 1_000)).rejects.toThrow('no AMQP answer')
    } finally {
      rabbit.thaw()
    }
    expect(await amqpLogin(login(rabbit), 10_000)).toBe(rabbit.details['version'])
  }, 90_000)

  it('reports a failing command with what the tool said', async () => {
    await expect(rabbit.run('delete_vhost', 'nowhere')).rejects.toMatchObject({
      code: 'BROKER_COMMAND_FAILED',
      message: expect.stringContaining('nowhere'),
    })
  }, 90_000)
})

describe('a RabbitMQ server with TLS', () => {
  let rabbit: RunningBroker
  const amqp = Buffer.from('AMQP\0\0\x09\x01', 'latin1')
  const file = (name: string): Buffer => readFileSync(rabbit.details[name] ?? '')
  const port = (): number => Number(new URL(rabbit.details['tlsUrl'] ?? '').port)

  beforeAll(async () => {
    rabbit = await startBroker('rabbitmq', { tls: true, clientCertificate: true })
  }, 600_000)

  afterAll(() => rabbit.stop(), 60_000)

  it('wants a client certificate and offers EXTERNAL to its owner', async () => {
    const client = { ca: file('caPath'), cert: file('clientCertPath'), key: file('clientKeyPath') }
    expect((await tlsHandshake(port(), amqp, client)).toString('latin1')).toContain('EXTERNAL')
    await expect(tlsHandshake(port(), amqp, { ca: file('caPath') })).rejects.toThrow(
      /certificate|ECONNRESET|EPIPE/,
    )
    await expect(tlsHandshake(port(), amqp, { ...client, ca: file('otherCaPath') })).rejects.toThrow(
      /certificate|signature/,
    )
    expect(await rabbit.run('list_users')).toMatch(/^client\t/m)
  }, 90_000)

  it('removes its data when stopped', async () => {
    const folder = path.dirname(path.dirname(rabbit.details['caPath'] ?? ''))
    expect(existsSync(folder)).toBe(true)
    await rabbit.stop()
    expect(existsSync(folder)).toBe(false)
  }, 90_000)
})
