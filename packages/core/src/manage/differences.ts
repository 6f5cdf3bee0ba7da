import type { QueueSettings } from '../adapter/contract.ts'
import { EXPIRES } from '../config/queue-arguments.ts'
import { chosenFields, type QueueConfig } from '../config/queue-config.ts'

/** What a configuration chose and a queue in use does not have, in words. `wanted`: the settings that the configuration comes to. */
export function differences(config: QueueConfig, wanted: QueueSettings, inForce: QueueSettings): string[] {
  const chosen = new Set<string>(chosenFields(config))
  if (chosen.has('arguments') && EXPIRES in config.arguments) chosen.add('expires')
  return Object.entries(wanted).flatMap(([name, value]) => {
    const [asked, is] = [value, inForce[name as keyof QueueSettings]].map((one) => JSON.stringify(one))
    return chosen.has(name) && asked !== is ? [`${name} is ${is}, not ${asked}`] : []
  })
}
