import type { Broken } from './broken.ts'
import { again } from './again.ts'
import { alike } from './alike.ts'
import { anew } from './anew.ts'
import { apart } from './apart.ts'
import { calls } from './calls.ts'
import { connecting } from './connecting.ts'
import { connections } from './connections.ts'
import { deadLettering } from './dead-lettering.ts'
import { browsing, discarding } from './discarding.ts'
import { elsewhere } from './elsewhere.ts'
import { fencing } from './fencing.ts'
import { fields } from './fields.ts'
import { full } from './full.ts'
import { guessing } from './guessing.ts'
import { kinds } from './kinds.ts'
import { inSubscriptions, longAgo } from './in-subscriptions.ts'
import { large } from './large.ts'
import { leasing } from './leasing.ts'
import { leftBehind } from './left-behind.ts'
import { ofLimits } from './limits.ts'
import { limitsApart } from './limits-apart.ts'
import { lives } from './lives.ts'
import { madeAgain } from './made-again.ts'
import { managing } from './managing.ts'
import { many } from './many.ts'
import { sequences } from './model.ts'
import { nearly } from './nearly.ts'
import { prioritiesLeft } from './priorities-left.ts'
import { publishing } from './publishing.ts'
import { receiving } from './receiving.ts'
import { settling } from './settling.ts'
import { subscribing } from './subscribing.ts'
import { ofASubscription } from './subscriptions.ts'
import { several } from './several.ts'
import { together } from './together.ts'
import { waiting } from './waiting.ts'
import { ways } from './ways.ts'

/** Every broken adapter. */
export const brokenAdapters: readonly Broken[] = [
  ...publishing,
  ...fields,
  ...receiving,
  ...settling,
  ...leasing,
  ...deadLettering,
  ...managing,
  ...connecting,
  ...connections,
  ...lives,
  ...calls,
  ...ways,
  ...many,
  ...waiting,
  ...subscribing,
  ...discarding,
  ...browsing,
  ...kinds,
  ...guessing,
  ...apart,
  ...alike,
  ...together,
  ...ofASubscription,
  ...leftBehind,
  ...nearly,
  ...several,
  ...anew,
  ...again,
  ...full,
  ...madeAgain,
  ...elsewhere,
  ...large,
  ...inSubscriptions,
  ...longAgo,
  ...ofLimits,
  ...fencing,
  ...prioritiesLeft,
  ...limitsApart,
  ...sequences,
]
