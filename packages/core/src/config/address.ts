import { isIPv6 } from 'node:net'

/** `host` or `host:port`; IPv6 in brackets. `null`: neither. */
export function readAddress(text: string): { readonly host: string; readonly port: number | null } | null {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:@/[\]?#,]+))(?::(\d{1,5}))?$/.exec(text)
  if (match === null) return null
  const host = match[1] ?? match[2] ?? ''
  if (match[3] === undefined) return { host, port: null }
  const port = Number(match[3])
  return port >= 1 && port <= 65_535 ? { host, port } : null
}

/** The text form that `readAddress` reads. */
export function writeAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A comma-separated list as an array; anything else as it is. */
export function splitList(value: unknown): unknown {
  if (typeof value !== 'string') return value
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** A name or an IP address by itself, IPv6 without brackets. */
export function isHost(text: string): boolean {
  return isIPv6(text) || /^[^\s:@/[\]?#,]+$/.test(text)
}
