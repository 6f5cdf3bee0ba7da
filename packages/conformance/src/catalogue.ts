import type { Item } from './item.ts'
import { browse } from './items/browse.ts'
import { capabilities } from './items/capabilities.ts'
import { concurrent } from './items/concurrent.ts'
import { conflicts } from './items/conflicts.ts'
import { consume } from './items/consume.ts'
import { contract } from './items/contract.ts'
import { counts } from './items/counts.ts'
import { deadLetters } from './items/dead-letters.ts'
import { deduplication } from './items/deduplication.ts'
import { disconnected } from './items/disconnected.ts'
import { elsewhere } from './items/elsewhere.ts'
import { extras } from './items/extras.ts'
import { failure } from './items/failure.ts'
import { fencing } from './items/fencing.ts'
import { fields } from './items/fields.ts'
import { fieldsElsewhere } from './items/fields-elsewhere.ts'
import { givenUp } from './items/given-up.ts'
import { large } from './items/large.ts'
import { lifecycle } from './items/lifecycle.ts'
import { limitsApart } from './items/limits-apart.ts'
import { limits } from './items/limits.ts'
import { lives } from './items/lives.ts'
import { longTimes } from './items/long-times.ts'
import { madeAgain } from './items/made-again.ts'
import { many } from './items/many.ts'
import { model } from './items/model.ts'
import { observe } from './items/observe.ts'
import { orderReturned } from './items/order-returned.ts'
import { ordering } from './items/ordering.ts'
import { payload } from './items/payload.ts'
import { prioritiesLeft } from './items/priorities-left.ts'
import { publish } from './items/publish.ts'
import { queues } from './items/queues.ts'
import { redriven } from './items/redriven.ts'
import { receive } from './items/receive.ts'
import { receiveEdges } from './items/receive-edges.ts'
import { receiver } from './items/receiver.ts'
import { requests } from './items/requests.ts'
import { retry } from './items/retry.ts'
import { sentMessage } from './items/sent-message.ts'
import { settle } from './items/settle.ts'
import { shutdown } from './items/shutdown.ts'
import { subscriptionLimits } from './items/subscription-limits.ts'
import { subscriptions } from './items/subscriptions.ts'
import { time } from './items/time.ts'
import { timesReturned } from './items/times-returned.ts'
import { tokens } from './items/tokens.ts'
import { topics } from './items/topics.ts'
import { waking } from './items/waking.ts'

/** Every item, in the order of the acceptance list. */
export const items: readonly Item[] = [
  lifecycle,
  lives,
  sentMessage,
  publish,
  payload,
  consume,
  receive,
  topics,
  subscriptions,
  subscriptionLimits,
  ordering,
  orderReturned,
  settle,
  retry,
  deadLetters,
  redriven,
  time,
  timesReturned,
  longTimes,
  extras,
  prioritiesLeft,
  deduplication,
  limits,
  limitsApart,
  requests,
  queues,
  conflicts,
  madeAgain,
  elsewhere,
  failure,
  shutdown,
  observe,
  contract,
  waking,
  disconnected,
  concurrent,
  receiveEdges,
  fields,
  fieldsElsewhere,
  givenUp,
  large,
  counts,
  receiver,
  many,
  tokens,
  fencing,
  browse,
  capabilities,
  model,
].flat()
