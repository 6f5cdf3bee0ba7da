/** What stands for a value that is not to be seen. */
export const HIDDEN = '(hidden)'

const LONGEST = 80

/**
 * A value as an error may show it: JSON, cut to 80 characters. Whatever could hold credentials is hidden: anything with a `@` or
 * a `://`, wherever it was put, since a URL in the wrong field is a usual mistake. Objects show their kind alone.
 */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return showString(value)
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'bigint':
      return `${value}n`
    case 'function':
    case 'symbol':
      return `(a ${typeof value})`
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? '(an array)' : '(an object)'
  }
}

function showString(value: string): string {
  if (value.includes('@') || value.includes('://')) return HIDDEN
  const json = JSON.stringify(value)
  return json.length > LONGEST ? `${json.slice(0, LONGEST)}…` : json
}
