export type BrokerErrorCode =
  | 'BROKER_MISSING' // no source has the server; the message says what to install
  | 'BROKER_START_FAILED' // the process ended, or did not answer in time; the message ends with its log
  | 'BROKER_NOT_OWNED' // the server belongs to the environment
  | 'BROKER_COMMAND_FAILED' // an administration tool or an installation failed

export interface BrokerError extends Error {
  readonly code: BrokerErrorCode
}

export function brokerError(code: BrokerErrorCode, message: string, cause?: unknown): BrokerError {
  const error = cause === undefined ? new Error(message) : new Error(message, { cause })
  return Object.assign(error, { code })
}

/** The text of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  const message = (thrown as { message?: unknown } | null | undefined)?.message
  return typeof message === 'string' ? message : String(thrown)
}

/** The `code` of whatever was thrown, e.g. `ENOENT`. */
export function codeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}
