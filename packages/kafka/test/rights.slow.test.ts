import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals'
import { createRequire } from 'node:module'
import { type RunningBroker, startBroker } from '@mq/brokers'
import { live, outbound } from '@mq/conformance/fixtures'
import { classify } from '../src/errors.ts'
import { adapters, consuming, declaration } from './support.ts'

/** Numbers of the protocol. */
const [TOPIC, LITERAL, ALLOW] = [2, 3, 3]
const [READ, DESCRIBE] = [3, 8]

interface Admin {
  connect(): Promise<void>
  disconnect(): Promise<void>
  createAcls(acls: object): Promise<boolean>
}

let broker: RunningBroker
const { connect, closeAll } = adapters(() => broker.url)
beforeAll(async () => {
  const authorizer = 'org.apache.kafka.metadata.authorizer.StandardAuthorizer'
  const extra = { 'authorizer.class.name': authorizer, 'super.users': 'User:ANONYMOUS' }
  broker = await startBroker('kafka', { fresh: true, sasl: true, extra })
}, 180_000)
afterEach(closeAll)
afterAll(() => broker.stop())

async function allow(operations: readonly number[], resourceNames: readonly string[]): Promise<void> {
  const kafkajs = createRequire(import.meta.url)('kafkajs') as {
    Kafka: new (options: object) => { admin(): Admin }
  }
  const admin = new kafkajs.Kafka({ brokers: [broker.url], logLevel: 0 }).admin()
  await admin.connect()
  const acl = resourceNames.flatMap((resourceName) =>
    operations.map((operation) => ({
      resourceType: TOPIC,
      resourceName,
      resourcePatternType: LITERAL,
      principal: `User:${broker.details['username']}`,
      host: '*',
      operation,
      permissionType: ALLOW,
    })),
  )
  await admin.createAcls({ acl })
  await admin.disconnect()
}

it('an error of a right that is missing names it', async () => {
  await (await connect()).declare({ queue: 'orders' }, declaration)
  const { username = '', password = '', saslUrl = '' } = broker.details
  const adapter = await connect({ brokers: saslUrl, sasl: { mechanism: 'plain', username, password } })
  const refusal = (needs: string): object => ({
    message: `not authorized: the user needs the right ${needs}`,
  })
  await expect(adapter.size({ queue: 'orders' })).rejects.toMatchObject(
    refusal('Describe on the topic "orders"'),
  )
  await allow([READ, DESCRIBE], ['orders', 'mq.settings'])
  const [outcome] = await adapter.publish([outbound({ queue: 'orders' })], live)
  expect(outcome).toMatchObject({
    certainty: 'not-stored',
    error: refusal('Write on the topic "orders"'),
  })
  expect(outcome?.ok === false && classify(outcome.error).code).toBe('MQ_AUTHENTICATION')
  const receiver = await consuming(adapter, { queue: 'orders' })
  const receiving = async (): Promise<void> => {
    for (;;) await receiver.receive(1, live)
  }
  await expect(receiving()).rejects.toMatchObject(refusal('Describe on the group "mq.orders"'))
  await expect(adapter.declare({ queue: 'mine' }, declaration)).rejects.toMatchObject(
    refusal('Describe on the topic "mine"'),
  )
}, 60_000)
