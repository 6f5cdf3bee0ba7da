/** The known name that a mistyped one is nearest to, in any case and with or without `_` and `-`; `undefined` when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name)
  // Longer than any real name: not a slip of the finger, and costly to compare.
  if (wanted.length > 60) return undefined
  let best: string | undefined
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, plain(candidate))
    if (distance < least) {
      best = candidate
      least = distance
    }
  }
  return best
}

/** ` (did you mean "port"?)`, or nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  const found = nearest(name, known)
  return found === undefined ? '' : ` (did you mean "${found}"?)`
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '')
}

// Insertions, deletions, replacements and swapped neighbours count one each (optimal string alignment).
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(replaced, at(last, j) + 1, at(row, j - 1) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, at(beforeLast, j - 2) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity
}
