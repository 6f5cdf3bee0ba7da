import { defineQueue } from '@mq/core'
import Type, { type Static } from 'typebox'

/** What the station in Seattle reports once a day. */
const Day = Type.Object({
  date: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
  /** mm */
  precipitation: Type.Number({ minimum: 0 }),
  /** Highest temperature, °C. */
  warmest: Type.Number(),
})
export type Day = Static<typeof Day>

/** What the window of one month amounts to. */
const Month = Type.Object({
  month: Type.String({ pattern: '^\\d{4}-\\d{2}$' }),
  days: Type.Integer({ minimum: 1 }),
  wetDays: Type.Integer({ minimum: 0 }),
  /** mm */
  precipitation: Type.Number({ minimum: 0 }),
  /** Mean of the highest temperatures, °C. */
  warmest: Type.Number(),
})
export type Month = Static<typeof Month>

// One part: days then arrive in about the order of sending, also on Kafka.
export const days = defineQueue('weather.days', { schema: Day, partitions: 1 })

export const months = defineQueue('weather.months', { schema: Month })
