import { expect, it } from '@jest/globals'
import { checkHandlerOptions } from '../../src/consume/handler-options.ts'

it.each<[object, string]>([
  [{ concurency: 2 }, 'concurency: no such option (did you mean "concurrency"?)'],
  [{ zzz: 1 }, 'zzz: no such option'],
  [
    { timeout: 2, retry: { delayMS: 1, tries: 3 } },
    'timeout: no such option (did you mean "timeoutMs"?); retry.delayMS: no such option (did you mean "delayMs"?); retry.tries: no such option',
  ],
  [{ concurrency: 0 }, 'concurrency must be >= 1'],
  [{ retry: { backoff: 'none' } }, 'retry.backoff must be one of fixed, linear, exponential'],
  [{ acknowledgmentMode: 'Auto' }, 'acknowledgmentMode must be one of auto, manual, none'],
])('what is wrong with %j is told once, with what was meant', (options, told) => {
  expect(() => checkHandlerOptions(options)).toThrow(
    expect.objectContaining({ code: 'MQ_VALIDATION', message: `Handler options are wrong: ${told}` }),
  )
})
