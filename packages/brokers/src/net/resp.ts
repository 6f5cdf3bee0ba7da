import { exchange } from './tcp.ts'

export interface RespTarget {
  host: string
  port: number
  username?: string | undefined
  password?: string | undefined
  /** Longest wait for the answer. */
  timeoutMs?: number | undefined
}

/**
 * One Redis command over a connection of its own. Resolves with the text of a simple, integer or bulk reply; an error
 * reply rejects with its text.
 */
export async function respCommand(target: RespTarget, ...args: string[]): Promise<string> {
  const commands: string[][] = []
  if (target.password !== undefined) commands.push(['AUTH', target.username ?? 'default', target.password])
  commands.push(args)
  const parse = (received: Buffer): string[] | undefined => parseReplies(received, commands.length)
  const hello = commands.map(encode).join('')
  const replies = await exchange(target.host, target.port, hello, parse, target.timeoutMs)
  for (const reply of replies) if (reply.startsWith('-')) throw new Error(reply.slice(1))
  return (replies[replies.length - 1] ?? '').slice(1)
}

function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`
}

/** Each reply with its type character in front; undefined while some are missing. */
function parseReplies(received: Buffer, count: number): string[] | undefined {
  const replies: string[] = []
  let at = 0
  while (replies.length < count) {
    const end = received.indexOf('\r\n', at)
    if (end < 0) return undefined
    const line = received.toString('utf8', at, end)
    at = end + 2
    if (line.startsWith('$') && line !== '$-1') {
      const length = Number(line.slice(1))
      if (received.length < at + length + 2) return undefined
      replies.push(`$${received.toString('utf8', at, at + length)}`)
      at += length + 2
    } else replies.push(line)
  }
  return replies
}
