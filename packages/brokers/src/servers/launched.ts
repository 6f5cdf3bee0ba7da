import type { DataFolder } from '../folders.ts'
import type { Guard } from '../processes/guard.ts'
import type { ServerNode } from '../processes/server-node.ts'
import type { BrokerName, RunningBroker } from '../types.ts'

/** A running broker with what the command line needs to stop it later. */
export interface Launched {
  readonly broker: RunningBroker
  readonly nodes: readonly ServerNode[]
  /** Temporary folders to remove when it ends. */
  readonly folders: readonly string[]
}

export interface Assembly {
  name: BrokerName
  url: string
  urls: readonly string[]
  details: Readonly<Record<string, string>>
  /** Nodes that `kill(0)`, `freeze(1)` … address. */
  nodes: readonly ServerNode[]
  /** Processes that end with the broker and that nobody addresses, e.g. sentinels. */
  helpers?: readonly ServerNode[]
  folder: DataFolder
  guard: Guard
  run: (...args: string[]) => Promise<string>
  /** How the nodes start the first time. Default: all at once. */
  firstStart?: () => Promise<void>
}

/**
 * Starts the nodes (helpers first), lets `settle` make one broker of them, and ends what did start when any of it
 * fails.
 */
export async function assemble(parts: Assembly, settle?: () => Promise<void>): Promise<Launched> {
  const { nodes, folder, guard } = parts
  const everything = [...(parts.helpers ?? []), ...nodes]
  let stopping: Promise<void> | undefined

  async function stopAll(): Promise<void> {
    await Promise.all(everything.map((node) => node.stop(!folder.temporary)))
    folder.remove()
    guard.forgetFolder(folder.path)
  }

  try {
    await Promise.all((parts.helpers ?? []).map((node) => node.start()))
    if (parts.firstStart) await parts.firstStart()
    else await Promise.all(nodes.map((node) => node.start()))
    await settle?.()
  } catch (error) {
    await stopAll()
    throw error
  }

  const chosen = (index: number | undefined): readonly ServerNode[] => {
    if (index === undefined) return nodes
    const node = nodes[index]
    if (!node) throw new RangeError(`${parts.name} has nodes 0 to ${nodes.length - 1}, not ${index}`)
    return [node]
  }
  const kill = async (index?: number): Promise<void> => {
    await Promise.all(chosen(index).map((node) => node.kill()))
  }
  const start = async (index?: number): Promise<void> => {
    await Promise.all(chosen(index).map((node) => node.start()))
  }

  const broker: RunningBroker = {
    name: parts.name,
    url: parts.url,
    urls: parts.urls,
    owned: true,
    details: parts.details,
    stop: () => (stopping ??= stopAll()),
    kill,
    start,
    restart: async (index) => {
      await kill(index)
      await start(index)
    },
    freeze: (index) => chosen(index).forEach((node) => node.freeze()),
    thaw: (index) => chosen(index).forEach((node) => node.thaw()),
    run: parts.run,
  }
  return { broker, nodes: everything, folders: folder.temporary ? [folder.path] : [] }
}

/** A new temporary folder is watched from its first moment. */
export function guarded(folder: DataFolder, guard: Guard): DataFolder {
  if (folder.temporary) guard.watchFolder(folder.path)
  return folder
}
