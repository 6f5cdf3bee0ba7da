import { threadId } from 'node:worker_threads'
import { word } from './word.ts'

export default function (message: { body: unknown }): string {
  return `${word} ${typeof message.body} ${threadId > 0}`
}
