import { types } from 'node:util'

/** What a batch handler answered for one of its messages; throws what failed it. See `BatchHandlerFunction`. */
export function answerOf(answers: unknown, index: number): unknown {
  if (!Array.isArray(answers)) return undefined
  const answer: unknown = answers[index]
  if (types.isNativeError(answer)) throw answer
  if (typeof answer !== 'object' || answer === null || !('status' in answer)) return answer
  if (answer.status === 'rejected') throw (answer as { reason?: unknown }).reason
  return answer.status === 'fulfilled' && 'value' in answer ? answer.value : answer
}
