import { AsyncLocalStorage, createHook } from 'node:async_hooks'

/** What keeps a process alive: promises and the like do not. */
const KINDS =
  /^(Timeout|Immediate|TCPWRAP|TCPSERVERWRAP|PIPEWRAP|TLSWRAP|UDPWRAP|MESSAGEPORT|WORKER|PROCESSWRAP|FSEVENTWRAP)$/

export interface HandleWatch {
  run(work: () => Promise<void>): Promise<void>
  /** What was started by what has run, and by what that called, and would still keep the process alive. */
  left(): string[]
  /** Until then every promise of the process is tracked, which slows all of it down. */
  stop(): void
}

/** One for all: each that there is costs every promise of the process something, for good. */
const current = new AsyncLocalStorage<object>()

/** Other work of the same process is not counted. */
export function watchHandles(): HandleWatch {
  const mine = {}
  const alive = new Map<number, { kind: string; resource: WeakRef<object> }>()
  const hook = createHook({
    init(id, kind, _trigger, resource: object) {
      if (KINDS.test(kind) && current.getStore() === mine)
        alive.set(id, { kind, resource: new WeakRef(resource) })
    },
    destroy: (id) => void alive.delete(id),
  })
  hook.enable()
  return {
    run: (work) => current.run(mine, work),
    left() {
      const kinds: string[] = []
      for (const { kind, resource } of alive.values()) {
        const handle = resource.deref() as { hasRef?: () => boolean } | undefined
        if (handle !== undefined && handle.hasRef?.() !== false) kinds.push(kind)
      }
      return kinds
    },
    stop: () => void hook.disable(),
  }
}
