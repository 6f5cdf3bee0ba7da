import type { AdapterLogger } from './adapter/contract.ts'

/** Any pino-shaped logger: fields first, then the text. */
export type Logger = AdapterLogger

const LEVELS = { debug: 10, info: 20, warn: 30, error: 40, silent: 50 } as const

/**
 * The logger used when none is given: one line each on stderr, warnings and errors alone unless `MQ_LOG_LEVEL`
 * (`debug`, `info`, `warn`, `error`, `silent`) or `NODE_DEBUG=mq` asks for more. Bodies and secrets are never logged.
 */
export function defaultLogger(env: NodeJS.ProcessEnv = process.env): Logger {
  const asked = env['MQ_LOG_LEVEL']?.toLowerCase() ?? ''
  const known = Object.hasOwn(LEVELS, asked)
  if (!known && asked !== '') warnOnce(asked)
  const debugging = /(^|,)mq(,|$)/.test(env['NODE_DEBUG'] ?? '')
  const threshold = known ? LEVELS[asked as keyof typeof LEVELS] : debugging ? LEVELS.debug : LEVELS.warn
  const at = (level: 'debug' | 'info' | 'warn' | 'error') =>
    LEVELS[level] < threshold
      ? () => undefined
      : (fields: object, message: string) => write(level, fields, message)
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    isLevelEnabled: (level: keyof typeof LEVELS) => LEVELS[level] >= threshold,
  } as Logger
}

/** A logger whose own failures (a full disk, fields that it cannot write) never reach the code that logs. */
export function harmless(given?: Logger): Logger {
  const logger = given ?? defaultLogger()
  const at =
    (level: keyof Logger) =>
    (fields: object, message: string): void => {
      try {
        logger[level](fields, message)
      } catch {
        // There is nowhere to say it.
      }
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    // Asked at each time: levels change.
    isLevelEnabled: (level: string) => isEnabled(logger, level),
  } as Logger
}

const warned = new Set<string>()

/** Every queue makes a default logger: an unknown level is told of once, not once for each of them. */
function warnOnce(level: string): void {
  if (warned.has(level)) return
  warned.add(level)
  write('warn', { MQ_LOG_LEVEL: level }, `no such level: it is one of ${Object.keys(LEVELS).join(', ')}`)
}

/** Whether debug lines go anywhere, as pino's loggers tell: where they do not, what a line says need not be gathered. */
export function logsDebug(logger: Logger): boolean {
  return isEnabled(logger, 'debug')
}

function isEnabled(logger: Logger, level: string): boolean {
  const { isLevelEnabled } = logger as { isLevelEnabled?: (level: string) => boolean }
  try {
    return typeof isLevelEnabled !== 'function' || isLevelEnabled.call(logger, level)
  } catch {
    return true
  }
}

function write(level: string, fields: object, message: string): void {
  const details = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${format(value)}`)
    .join('')
  process.stderr.write(`${new Date().toISOString()} mq ${level}: ${message}${details}\n`)
}

function format(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null && 'message' in value) {
    const { code, message } = value as { code?: unknown; message: unknown }
    return JSON.stringify(typeof code === 'string' ? `${code}: ${String(message)}` : String(message))
  }
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return '[unprintable]'
  }
}
