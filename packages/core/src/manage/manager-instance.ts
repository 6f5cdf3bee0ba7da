import type { MessageQueueConfigInput } from '../config/message-queue-config.ts'
import { ValidationError } from '../errors.ts'
import { checkStopOptions, type StopOptions, type StopResult } from '../stop-options.ts'
import { MessageQueueManager, type ManagerOptions } from './manager.ts'

let instance: MessageQueueManager | null = null
/** Forgotten, and still being stopped. */
let leaving: MessageQueueManager | null = null

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

/** Stops that manager, if there is one, and forgets it; concurrent calls share one attempt. Rejects for wrong options alone. */
export async function shutdownMessageQueueManager(options: StopOptions = {}): Promise<StopResult> {
  checkStopOptions(options, 'shutdownMessageQueueManager')
  const manager = instance ?? leaving
  if (manager === null) return { drained: true, abandoned: [] }
  instance = null
  leaving = manager
  try {
    return await manager.stop(options)
  } finally {
    if (leaving === manager) leaving = null
  }
}
