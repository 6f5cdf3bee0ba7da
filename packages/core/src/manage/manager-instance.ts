import type { MessageQueueConfigInput } from '../config/message-queue-config.ts'
import type { StopResult } from '../consume/consumer.ts'
import { ValidationError } from '../errors.ts'
import { checkStopOptions, type StopOptions } from '../stop-options.ts'
import { MessageQueueManager, type ManagerOptions } from './manager.ts'

let instance: MessageQueueManager | null = null

/**
 * Makes the manager that `getMessageQueueManager` answers everywhere in this process; it is not started yet. Throws
 * `ConfigurationError`, or `ValidationError` while an earlier one still starts or runs.
 */
export function initMessageQueueManager(
  config: MessageQueueConfigInput = {},
  options: ManagerOptions = {},
): MessageQueueManager {
  if (instance !== null && (instance.isRunning || instance.isStarting)) {
    throw new ValidationError('A manager is running already: await shutdownMessageQueueManager() first')
  }
  instance = new MessageQueueManager(config, options)
  return instance
}

/** The manager of `initMessageQueueManager`, or `null`. */
export function getMessageQueueManager(): MessageQueueManager | null {
  return instance
}

/** Stops that manager, if there is one, and forgets it. Rejects for wrong options alone. */
export async function shutdownMessageQueueManager(options: StopOptions = {}): Promise<StopResult> {
  checkStopOptions(options, 'shutdownMessageQueueManager')
  const manager = instance
  instance = null
  return manager === null ? { drained: true, abandoned: [] } : manager.stop(options)
}
