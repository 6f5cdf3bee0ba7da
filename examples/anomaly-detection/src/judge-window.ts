import { threadId } from 'node:worker_threads'
import type { WorkerMessage } from '@mq/workers'
import type { Window } from './detector.ts'
import { judge, type Judgement } from './hampel.ts'

export interface Verdict {
  readonly judgement: Judgement
  /** Which thread judged: 0 would be the program's own. */
  readonly thread: number
}

/** Runs on the worker threads, once for each window: the part of the work that computes. */
export default function judgeWindow({ body }: WorkerMessage<Window>): Verdict {
  return { judgement: judge(body.temperature, body.around), thread: threadId }
}
