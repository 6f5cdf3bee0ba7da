import type { Broken } from './broken.ts'
import { connecting } from './connecting.ts'
import { deadLettering } from './dead-lettering.ts'
import { managing } from './managing.ts'
import { sequences } from './model.ts'
import { publishing } from './publishing.ts'
import { receiving } from './receiving.ts'
import { settling } from './settling.ts'

/** Every broken adapter. */
export const brokenAdapters: readonly Broken[] = [
  ...publishing,
  ...receiving,
  ...settling,
  ...deadLettering,
  ...managing,
  ...connecting,
  ...sequences,
]
