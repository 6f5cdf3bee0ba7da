import { AdapterError, type Difference } from '@mq/core/adapter'

export function conflict(label: string, differences: readonly Difference[]): AdapterError {
  return new AdapterError(
    'MQ_QUEUE_CONFLICT',
    `${label} exists with other settings: ${differences
      .map(({ field, existing, requested }) =>
        existing === undefined
          ? `${field} is not ${show(requested)}`
          : `${field} is ${show(existing)}, not ${show(requested)}`,
      )
      .join('; ')}`,
    { differences },
  )
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? typeof value
}
