import { AsyncLocalStorage, createHook } from 'node:async_hooks'

/** What keeps a process alive: promises and the like do not. */
const KINDS =
  /^(Timeout|Immediate|TCPWRAP|TCPSERVERWRAP|PIPEWRAP|TLSWRAP|UDPWRAP|MESSAGEPORT|WORKER|PROCESSWRAP|FSEVENTWRAP)$/

/**
 * Runs `work`; the answer tells what was started meanwhile, by `work` and what it called, and would still keep the process alive.
 * Other work of the same process is not counted.
 */
export async function watchHandles(work: () => Promise<void>): Promise<() => string[]> {
  const mine = new AsyncLocalStorage<true>()
  const alive = new Map<number, { kind: string; resource: WeakRef<object> }>()
  const hook = createHook({
    init(id, kind, _trigger, resource: object) {
      if (KINDS.test(kind) && mine.getStore() === true)
        alive.set(id, { kind, resource: new WeakRef(resource) })
    },
    destroy: (id) => void alive.delete(id),
  })
  hook.enable()
  try {
    await mine.run(true, work)
  } catch (error) {
    hook.disable()
    throw error
  }
  return () => {
    const kinds: string[] = []
    for (const { kind, resource } of alive.values()) {
      const handle = resource.deref() as { hasRef?: () => boolean } | undefined
      if (handle !== undefined && handle.hasRef?.() !== false) kinds.push(kind)
    }
    if (kinds.length === 0) hook.disable()
    return kinds
  }
}
