import type { Day, Month } from './queues.ts'

/** A window whose time has come, with whatever was given in for each of its days. */
export interface Closed<Token> {
  readonly month: Month
  readonly tokens: readonly Token[]
}

interface Window<Token> {
  /** By date: a day that comes twice counts once. */
  readonly days: Map<string, Day>
  readonly tokens: Token[]
}

/**
 * Tumbling windows of one month each. A window closes when a day arrives that lies `latenessDays` after its end, so days may
 * overtake each other by as much.
 */
export class MonthlyWindows<Token> {
  readonly #open = new Map<string, Window<Token>>()
  readonly #latenessDays: number
  #closedUpTo = ''

  constructor(latenessDays: number) {
    this.#latenessDays = latenessDays
  }

  /** Answers what closes by it; `'late'` for a day of a window that was closed already. */
  add(day: Day, token: Token): Closed<Token>[] | 'late' {
    const month = day.date.slice(0, 7)
    if (month <= this.#closedUpTo) return 'late'
    let window = this.#open.get(month)
    if (window === undefined) this.#open.set(month, (window = { days: new Map(), tokens: [] }))
    window.days.set(day.date, day)
    window.tokens.push(token)
    return this.#close(monthBefore(day.date, this.#latenessDays))
  }

  /** Closes everything: the series is at its end. */
  end(): Closed<Token>[] {
    return this.#close('9999-12')
  }

  /** Those that end before `month` begins. */
  #close(month: string): Closed<Token>[] {
    const due = [...this.#open.keys()].filter((each) => each < month).sort()
    return due.map((each) => {
      const { days, tokens } = this.#open.get(each) as Window<Token>
      this.#open.delete(each)
      this.#closedUpTo = each
      return { month: summarise(each, [...days.values()]), tokens }
    })
  }
}

/** The month of the day that lies `days` before `date`. */
function monthBefore(date: string, days: number): string {
  return new Date(Date.parse(date) - days * 86_400_000).toISOString().slice(0, 7)
}

function summarise(month: string, days: readonly Day[]): Month {
  const sum = (of: (day: Day) => number): number => days.reduce((total, day) => total + of(day), 0)
  return {
    month,
    days: days.length,
    wetDays: days.filter(({ precipitation }) => precipitation > 0).length,
    precipitation: Number(sum(({ precipitation }) => precipitation).toFixed(1)),
    warmest: Number((sum(({ warmest }) => warmest) / days.length).toFixed(1)),
  }
}
