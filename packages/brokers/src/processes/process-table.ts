import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { codeOf } from '../errors.ts'

/** True while the process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    if (codeOf(error) !== 'EPERM') return false
  }
  return !isZombie(pid)
}

/**
 * Nothing is left but an entry that its parent has not collected. The first thread of a server can be in that state
 * while others still close its sockets.
 */
function isZombie(pid: number): boolean {
  if (statFields(pid)?.[0] !== 'Z') return false
  try {
    return readdirSync(`/proc/${pid}/task`).length <= 1
  } catch {
    return true
  }
}

/**
 * A text that two processes with the same number never share: when it started. Undefined when there is no such
 * process.
 */
export function startMark(pid: number): string | undefined {
  if (!isAlive(pid)) return undefined
  const fields = statFields(pid)
  if (fields) return fields[19]
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

/** Fields of /proc/PID/stat from `state` on; undefined where there is no /proc. */
function statFields(pid: number | string): string[] | undefined {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) return undefined
  try {
    const text = readFileSync(file, 'utf8')
    // The command's name, in parentheses, may hold spaces and parentheses of its own.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Sends a signal to a whole process group; false when it no longer exists. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal)
    return true
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
    // macOS says EPERM for a group whose members are all zombies.
    if (codeOf(error) === 'EPERM' && !isAlive(pid)) return false
    throw error
  }
}

/** True while the group has a member that is not a zombie; a container without an init keeps those for ever. */
export function groupIsAlive(pid: number): boolean {
  if (!signalGroup(pid, 0)) return false
  if (!existsSync('/proc/self/stat')) return true
  return groupMembers(pid).some((member) => !isZombie(member))
}

/**
 * True when no thread of the group runs any more. A SIGSTOP reaches one thread, and the others only when that one
 * got a turn: on a busy machine a server can answer once more after the signal was sent.
 */
export function groupIsStopped(pid: number): boolean {
  return groupMembers(pid).every((member) =>
    threadsOf(member).every((thread) => /^[TtZX]?$/.test(statFields(`${member}/task/${thread}`)?.[0] ?? '')),
  )
}

/** Processes of a group; none where there is no /proc. */
function groupMembers(pid: number): number[] {
  if (!existsSync('/proc/self/stat')) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && statFields(name)?.[2] === String(pid))
    .map(Number)
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}
