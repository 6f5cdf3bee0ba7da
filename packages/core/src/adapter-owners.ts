import type { BrokerAdapter } from './adapter/contract.ts'
import { ConfigurationError } from './errors.ts'

/** Whose connection an adapter is: it has one, and whoever ends it ends it for all that use it. */
const owners = new WeakMap<BrokerAdapter, object>()

/** Throws `ConfigurationError` while somebody else has it. */
export function takeAdapter(adapter: BrokerAdapter, owner: object): void {
  const other = owners.get(adapter)
  if (other !== undefined && other !== owner)
    throw new ConfigurationError(
      `This ${adapter.broker} adapter is in use by another MessageQueue: an adapter is one connection, so make one for each queue`,
    )
  owners.set(adapter, owner)
}

/** From now on another one may have it. */
export function leaveAdapter(adapter: BrokerAdapter, owner: object): void {
  if (owners.get(adapter) === owner) owners.delete(adapter)
}
