import { readFileSync } from 'node:fs'

/** The program, and what it must print. */
export const main = new URL('../src/main.ts', import.meta.url)
export const expected = {
  code: 0,
  stdout: readFileSync(new URL('../expected.txt', import.meta.url), 'utf8'),
  stderr: '',
}
