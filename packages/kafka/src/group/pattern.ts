import { matchesPattern } from '@mq/core/adapter'
import type { LogRecord } from '../log/batch-reader.ts'
import type { Names } from '../names.ts'
import { decodeRecord } from '../wire.ts'

/** Whether a subscription's pattern leaves out this record of its topic: where it would be written anew nobody looks at that. */
export function isLeftOut(record: LogRecord, { main }: Names, pattern: string | undefined): boolean {
  return (
    pattern !== undefined &&
    record.topic === main &&
    !matchesPattern(pattern, decodeRecord(record).routingKey ?? '')
  )
}
