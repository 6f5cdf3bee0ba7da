/**
 * Whether a routing key matches a subscription's pattern, by AMQP's topic rules: words are separated by dots, `*` stands for
 * exactly one word, `#` for any number of words, none included. `#` alone matches every key, the empty one too.
 */
export function matchesPattern(pattern: string, routingKey: string): boolean {
  if (pattern === '#') return true
  return matchWords(pattern.split('.'), 0, routingKey === '' ? [] : routingKey.split('.'), 0)
}

function matchWords(pattern: readonly string[], p: number, words: readonly string[], w: number): boolean {
  for (; p < pattern.length; p++, w++) {
    const part = pattern[p]
    if (part === '#') {
      if (p === pattern.length - 1) return true
      for (let next = w; next <= words.length; next++)
        if (matchWords(pattern, p + 1, words, next)) return true
      return false
    }
    if (w >= words.length || (part !== '*' && part !== words[w])) return false
  }
  return w === words.length
}
