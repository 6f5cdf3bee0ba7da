import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Running } from '@mq/example-runner'

/** The program, and what it must print, whichever port it got. */
export const main = new URL('../src/main.ts', import.meta.url)
const declared = readFileSync(new URL('../expected.txt', import.meta.url), 'utf8')

export interface Answer {
  readonly status: number
  readonly text: string
}

/** What `path` answers, asked again and again until it is as wanted. The test's own time-out ends it. */
export async function askUntil(url: string, wanted: (answer: Answer) => boolean): Promise<Answer> {
  for (;;) {
    const response = await fetch(url)
    const answer = { status: response.status, text: await response.text() }
    if (wanted(answer)) return answer
    await wait(50)
  }
}

/** Once it listens: its address. */
export async function addressOf(program: Running): Promise<string> {
  const [, address = ''] = await program.printed(/health: (http:\S+)\/health\/messaging/)
  await program.printed(/order: book/)
  return address
}

export function expectedAt(address: string): string {
  return declared.replaceAll('http://127.0.0.1:PORT', address)
}
