import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'

/**
 * Ends servers whose parent died. A shell reads our pipe: while we live it learns what to watch; when the pipe
 * closes, by whatever death, it kills the process groups, removes the containers and the folders, and ends. It is
 * in a session of its own, so a Ctrl-C at our terminal does not reach it before its work is done.
 */
const script = `
pids=' '; boxes=' '; dirs=''
while read -r what arg; do
  case $what in
    group) pids="$pids$arg " ;;
    ungroup) pids=$(printf %s "$pids" | sed "s/ $arg / /") ;;
    box) boxes="$boxes$arg " ;;
    unbox) boxes=$(printf %s "$boxes" | sed "s/ $arg / /") ;;
    dir) dirs="$dirs$arg
" ;;
    quit) exit 0 ;;
  esac
done
for pid in $pids; do kill -9 "-$pid" 2>/dev/null; done
for box in $boxes; do docker rm -f "$box" >/dev/null 2>&1; done
printf %s "$dirs" | while read -r dir; do rm -rf -- "$dir" || { sleep 1; rm -rf -- "$dir"; }; done
`

export interface Guard {
  /** The process group dies with this process. */
  readonly watchGroup: (pid: number) => void
  readonly forgetGroup: (pid: number) => void
  /** The container is removed with this process. */
  readonly watchContainer: (name: string) => void
  readonly forgetContainer: (name: string) => void
  /** The folder, or file, is removed with this process. */
  readonly watchFolder: (path: string) => void
  readonly forgetFolder: (path: string) => void
}

let shell: ChildProcess | undefined
const watched = new Set<string>()

/** Shared by all brokers of this process. Its shell starts with the first thing to watch and ends with the last. */
const processGuard: Guard = {
  watchGroup: (pid) => watch(`group ${pid}`),
  forgetGroup: (pid) => forget(`group ${pid}`),
  watchContainer: (name) => watch(`box ${name}`),
  forgetContainer: (name) => forget(`box ${name}`),
  watchFolder: (path) => watch(`dir ${path}`),
  forgetFolder: (path) => forget(`dir ${path}`),
}

export interface BrokerGuard extends Guard {
  /** Everything watched so far, and everything after, outlives this process. */
  release(): void
}

/** The guard of one broker. */
export function createGuard(): BrokerGuard {
  const forgets = new Map<string, () => void>()
  let released = false
  const watching = <T extends string | number>(
    kind: string,
    begin: (what: T) => void,
    end: (what: T) => void,
  ) => ({
    watch: (what: T): void => {
      if (released) return
      forgets.set(`${kind} ${what}`, () => end(what))
      begin(what)
    },
    forget: (what: T): void => {
      if (forgets.delete(`${kind} ${what}`)) end(what)
    },
  })
  const groups = watching('group', processGuard.watchGroup, processGuard.forgetGroup)
  const containers = watching('container', processGuard.watchContainer, processGuard.forgetContainer)
  const folders = watching('folder', processGuard.watchFolder, processGuard.forgetFolder)
  return {
    watchGroup: groups.watch,
    forgetGroup: groups.forget,
    watchContainer: containers.watch,
    forgetContainer: containers.forget,
    watchFolder: folders.watch,
    forgetFolder: folders.forget,
    release: () => {
      released = true
      for (const forget of forgets.values()) forget()
      forgets.clear()
    },
  }
}

function watch(line: string): void {
  if (watched.has(line)) return
  watched.add(line)
  shell ??= startShell()
  shell.stdin?.write(`${line}\n`)
}

function forget(line: string): void {
  if (!watched.delete(line)) return
  // Folders need no line: removing one that is gone does no harm.
  if (!line.startsWith('dir ')) shell?.stdin?.write(`un${line}\n`)
  if (watched.size > 0) return
  shell?.stdin?.end('quit\n')
  shell = undefined
}

function startShell(): ChildProcess {
  const child = spawn('/bin/sh', ['-c', script], {
    env: process.env,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.on('error', () => undefined)
  child.stdin.on('error', () => undefined)
  // It must not keep this process alive: it waits for its end.
  child.unref()
  ;(child.stdin as Socket).unref()
  return child
}
