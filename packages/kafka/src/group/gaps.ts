import type { AdapterLogger } from '@mq/core/adapter'

export const LOG_REPLACED =
  'the log ends before what was read of it: the topic was made anew, or lost its end with its leader; reading it from its beginning'

/** Says that records are gone which nobody handled: `from` up to `to`, the first that is left. */
export function warnOfGap(
  logger: AdapterLogger,
  topic: string,
  partition: number,
  from: number,
  to: number,
): void {
  logger.warn(
    { topic, partition, from, to },
    'records were deleted before they were handled, by retention or by hand; going on behind them',
  )
}
