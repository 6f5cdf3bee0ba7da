/** One server of a broker: a process of ours, or a container. */
export interface ServerNode {
  /** Starts it and resolves when it answers. Does nothing while it runs. */
  start(): Promise<void>
  /** SIGKILL; resolves when it is gone. Does nothing when it does not run. */
  kill(): Promise<void>
  /** Ends it: by SIGKILL, or politely (SIGTERM first) when its data is to be kept. */
  stop(politely: boolean): Promise<void>
  freeze(): void
  thaw(): void
  /** What runs now, for another process to stop it. */
  handle(): NodeHandle | undefined
}

export type NodeHandle =
  | { readonly kind: 'process'; readonly pid: number; readonly mark: string }
  | { readonly kind: 'container'; readonly container: string }
