import { describe, expect, it } from '@jest/globals'
import { programVariables } from '../src/variables.ts'

describe('the variables for a program', () => {
  it('name the server, and empty what the environment says of another one', () => {
    const env = { REDIS_PORT: '6380', REDIS_PASSWORD: 'p', REDIS_URL: 'redis://b', RABBITMQ_VHOST: 'v' }
    expect(programVariables({ name: 'redis', url: 'redis://a:1' }, env)).toEqual({
      REDIS_URL: 'redis://a:1',
      REDIS_PORT: '',
      REDIS_PASSWORD: '',
    })
    expect(programVariables({ name: 'kafka-cluster', url: 'a:1,b:2' }, env)).toEqual({
      KAFKA_BOOTSTRAP_SERVERS: 'a:1,b:2',
    })
    expect(programVariables({ name: 'redis-sentinel', url: 'redis://a:1' }, env)).toEqual({})
  })
})
