import type { TestContext } from './context.ts'

/** One thing that every broker must do. */
export interface Item {
  /** Stable: `settle.double`. */
  readonly id: string
  readonly group: string
  readonly title: string
  readonly run: (t: TestContext) => Promise<void>
  /** Times the usual time limit; for what takes long by nature. */
  readonly slowness: number
  /** Disturbs the broker itself, where the harness can: no other test runs meanwhile. */
  readonly alone: boolean
}

export interface ItemOptions {
  readonly slowness?: number
  readonly alone?: boolean
}

export type Define = (
  name: string,
  title: string,
  run: (t: TestContext) => Promise<void>,
  options?: ItemOptions,
) => void

/** The items of one heading. */
export function group(name: string, define: (item: Define) => void): readonly Item[] {
  const items: Item[] = []
  define((item, title, run, { slowness = 1, alone = false } = {}) => {
    items.push({ id: `${name}.${item}`, group: name, title, run, slowness, alone })
  })
  return items
}
