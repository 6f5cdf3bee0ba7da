/** Whether a value is an object with fields: not an array, Map, Date or the like. Objects of another realm count. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && Object.prototype.toString.call(value) === '[object Object]'
  )
}

/** Whether JSON can hold a value as it is: nothing else is part of a configuration, and only this can be copied. */
export function isData(value: unknown, depth = 0): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  // Deeper than any configuration: most likely an object that contains itself.
  if (depth > 16) return false
  if (Array.isArray(value)) return value.every((item) => isData(item, depth + 1))
  return isRecord(value) && Object.values(value).every((item) => isData(item, depth + 1))
}

/** Without the fields that are there and `undefined`: such a field is no choice. */
export function withoutUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T
}

/** A deep copy of data; unlike `structuredClone`, made of this realm's objects. */
export function copy<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => copy(item)) as T
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, copy(item)])) as T
}
