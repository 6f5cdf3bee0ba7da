import { describe, expect, it } from '@jest/globals'
import { defaultLogger, logsDebug, type Logger } from '../src/logger.ts'

describe('logsDebug', () => {
  it.each([
    [{}, false],
    [{ MQ_LOG_LEVEL: 'debug' }, true],
    [{ MQ_LOG_LEVEL: 'info' }, false],
    [{ NODE_DEBUG: 'http,mq' }, true],
  ])('knows of the logger for %j whether it does', (env, expected) => {
    expect(logsDebug(defaultLogger(env))).toBe(expected)
  })

  it('asks a logger as pino’s are asked, at each time, and takes any other for one that does', () => {
    const nothing = () => undefined
    const plain: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
    expect(logsDebug(plain)).toBe(true)
    const pino = {
      ...plain,
      level: 'info',
      isLevelEnabled(level: string) {
        return level === this.level
      },
    }
    expect(logsDebug(pino)).toBe(false)
    pino.level = 'debug'
    expect(logsDebug(pino)).toBe(true)
  })
})
