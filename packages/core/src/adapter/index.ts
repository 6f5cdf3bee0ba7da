export { ErrorCode } from '../error-codes.ts'
export { ConfigurationError, UnsupportedError } from '../errors.ts'
export { completeClock, systemClock, type Clock } from './clock.ts'
export { AdapterError, adapterErrorOf, type Difference } from './adapter-error.ts'
export {
  DeadLetterReason,
  type AdapterContext,
  type AdapterLogger,
  type BrokerAdapter,
  type Capabilities,
  type Certainty,
  type Classification,
  type ConnectionEvents,
  type DeadLetterInfo,
  type Declaration,
  type DeclareTarget,
  type Delivery,
  type Destination,
  type OutboundMessage,
  type Pace,
  type PublishOutcome,
  type QueueSettings,
  type Receiver,
  type SettleOutcome,
  type Source,
  type Target,
} from './contract.ts'
export { deadlineSignal } from './deadline-signal.ts'
export { onAbort } from './on-abort.ts'
export { matchesPattern } from './pattern.ts'
export { plainSettings } from './plain-settings.ts'
export { readOptions, type ReadOptions } from './read-options.ts'
export { sharedController } from './shared-controller.ts'
export { atMost, untilAborted } from './until-aborted.ts'
export { deadLetterHeaders, parseDeadLetterHeaders, WireHeader } from './wire.ts'
