import { describe, expect, it } from '@jest/globals'
import { AdapterError } from '@mq/core/adapter'
import { classify, CUT, inequivalence } from '../src/errors.ts'

const amqp = (code: number, text: string) => Object.assign(new Error(text), { code })

describe('classify', () => {
  it.each([
    [amqp(404, 'Operation failed: QueueDeclare; 404 (NOT-FOUND)'), 'MQ_QUEUE_NOT_FOUND', false],
    [
      amqp(404, "NOT_FOUND - home node 'r@1' of durable queue 'q' in vhost '/' is down or inaccessible"),
      'MQ_UNAVAILABLE',
      true,
    ],
    [amqp(403, 'Operation failed: QueueDeclare; 403 (ACCESS-REFUSED)'), 'MQ_AUTHENTICATION', false],
    [amqp(403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"), 'MQ_UNAVAILABLE', true],
    [new Error('Handshake terminated by server: 403 (ACCESS-REFUSED)'), 'MQ_AUTHENTICATION', false],
    [new Error('Handshake terminated by server: 530 (NOT-ALLOWED)'), 'MQ_AUTHENTICATION', false],
    [amqp(405, 'RESOURCE_LOCKED'), 'MQ_QUEUE_CONFLICT', false],
    [amqp(406, "PRECONDITION_FAILED - inequivalent arg 'durable'"), 'MQ_QUEUE_CONFLICT', false],
    [amqp(406, 'PRECONDITION_FAILED - message size 20 is larger'), 'MQ_MESSAGE_TOO_LARGE', false],
    [
      amqp(406, 'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out'),
      'MQ_CONNECTION',
      true,
    ],
    [amqp(320, 'CONNECTION_FORCED'), 'MQ_CONNECTION', true],
    [amqp(541, 'INTERNAL_ERROR'), 'MQ_UNAVAILABLE', true],
    [new Error('channel closed'), 'MQ_CONNECTION', true],
    [new Error('Heartbeat timeout'), 'MQ_CONNECTION', true],
    [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'MQ_CONNECTION', true],
    [Object.assign(new Error('x'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' }), 'MQ_CONNECTION', false],
    [new AdapterError('MQ_QUEUE_FULL', 'full'), 'MQ_QUEUE_FULL', false],
    [new Error('never seen'), 'MQ_UNKNOWN', true],
    [undefined, 'MQ_UNKNOWN', true],
  ])('%s', (error, code, retryable) => {
    const found = classify(error)
    expect([found.code, found.retryable]).toEqual([code, retryable])
  })
})

describe('inequivalence', () => {
  const of = (tail: string) =>
    inequivalence(
      amqp(
        406,
        `Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg ${tail}"`,
      ),
    )

  it('names the argument and both values', () => {
    expect(
      of(
        "'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'signedint' but current is none",
      ),
    ).toEqual({ argument: 'x-max-length', received: 5, current: undefined })
    expect(of("'x-message-ttl' for queue 'q' in vhost '/': received '500' but current is '600'")).toEqual({
      argument: 'x-message-ttl',
      received: 500,
      current: 600,
    })
    expect(of("'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'")).toEqual({
      argument: 'durable',
      received: false,
      current: true,
    })
  })

  it('leaves digits that are a name as text', () => {
    expect(
      of("'x-dead-letter-routing-key' for queue 'q' in vhost '/': received '12' but current is '13'"),
    ).toEqual({ argument: 'x-dead-letter-routing-key', received: '12', current: '13' })
  })

  it.each([
    "'x-queue-type' for queue 'xxx' in vhost '/': received the value 'quorum' of type 'lon...",
    "'alternate-exchange' for exchange 'xxx' in vhost '/': received 'a' but current is 'orders...",
    "'durable' for queue 'xxx...",
  ])('says no value of a text that is cut: %s', (tail) => {
    expect(of(tail)).toMatchObject({ received: CUT, current: CUT })
  })

  it('is null for every other error', () => {
    expect(inequivalence(amqp(404, 'inequivalent arg'))).toBeNull()
    expect(inequivalence(new Error('x'))).toBeNull()
  })
})
