import { describe, expect, it, jest } from '@jest/globals'
import { defaultLogger, harmless, logsDebug, type Logger } from '../src/logger.ts'

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

describe('harmless', () => {
  it('passes on the lines, and whether a level is written, as it is at the time', () => {
    const lines: unknown[][] = []
    const nothing = () => undefined
    const pino = {
      level: 'info',
      debug: nothing,
      info: nothing,
      error: nothing,
      warn(this: { level: string }, ...line: unknown[]) {
        lines.push([this.level, ...line])
      },
      isLevelEnabled(level: string) {
        return level === this.level
      },
    }
    const logger = harmless(pino)
    logger.warn({ a: 1 }, 'text')
    expect(lines).toEqual([['info', { a: 1 }, 'text']])
    expect(logsDebug(logger)).toBe(false)
    pino.level = 'debug'
    expect(logsDebug(logger)).toBe(true)
  })

  it('throws nothing, whatever is thrown', () => {
    const broken = () => {
      throw new Error('disk full')
    }
    const logger = harmless({
      ...{ debug: broken, info: broken, warn: broken, error: broken },
      isLevelEnabled: broken,
    } as Logger)
    for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level]({}, 'text')
    expect(logsDebug(logger)).toBe(true)
  })
})

it('a level that there is not is told once', () => {
  const written = jest.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    for (const level of ['verbose', 'Verbose', 'constructor', '', 'debug'])
      defaultLogger({ MQ_LOG_LEVEL: level })
    const lines = written.mock.calls.map(([line]) => String(line))
    expect(lines).toEqual([
      expect.stringContaining('one of debug, info, warn, error, silent MQ_LOG_LEVEL="verbose"'),
      expect.stringContaining('MQ_LOG_LEVEL="constructor"'),
    ])
  } finally {
    written.mockRestore()
  }
})
