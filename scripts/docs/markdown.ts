/** The little of Markdown that the checks need: fences, links, headings, generated blocks. */

export interface Fence {
  /** `ts`, `json`, `sh`, … */
  language: string
  /** The words after the language: `fragment`, `file=adapter.ts`. */
  words: readonly string[]
  code: string
  /** 1-based line of the first line of code. */
  line: number
}

export interface Link {
  target: string
  /** 1-based. */
  line: number
}

const fenceStart = /^(\s*)(`{3,}|~{3,})\s*([^\s`]*)\s*(.*)$/

interface Scan {
  fences: Fence[]
  /** The text with every fence blanked, line numbers kept. */
  prose: string[]
}

function scan(text: string): Scan {
  const fences: Fence[] = []
  const prose: string[] = []
  let open: { marker: string; indent: string; fence: Fence; lines: string[] } | undefined
  text.split('\n').forEach((line, index) => {
    if (open) {
      if (line.trim().startsWith(open.marker) && line.trim().replaceAll(open.marker.charAt(0), '') === '') {
        fences.push({ ...open.fence, code: `${open.lines.join('\n')}\n` })
        open = undefined
      } else {
        open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line)
      }
      prose.push('')
      return
    }
    const start = fenceStart.exec(line)
    if (!start) {
      prose.push(line)
      return
    }
    const [, indent = '', marker = '', language = '', rest = ''] = start
    const words = rest.split(/\s+/).filter(Boolean)
    open = { marker, indent, lines: [], fence: { language, words, code: '', line: index + 2 } }
    prose.push('')
  })
  return { fences, prose }
}

export function fencesOf(text: string): Fence[] {
  return scan(text).fences
}

/** Inline links, images and reference definitions, outside of code. */
export function linksOf(text: string): Link[] {
  return scan(text).prose.flatMap((line, index) => {
    const plain = line.replace(/(`+)(?:(?!\1).)*\1/g, '')
    const inline = [...plain.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)]
    const definitions = [...plain.matchAll(/^\s{0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)/g)]
    return [...inline, ...definitions].map((match) => ({ target: match[1] ?? '', line: index + 1 }))
  })
}

/** The anchor that a heading gets on code hosts: lower case, punctuation gone, spaces as hyphens. */
export function slug(heading: string): string {
  return heading
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[`*]/g, '')
    .trim()
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Mark}\p{Number}\p{Connector_Punctuation} -]/gu, '')
    .replaceAll(' ', '-')
}

/** Every anchor of a document: its headings (a repeated one is numbered) and explicit ids. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>()
  for (const line of scan(text).prose) {
    for (const match of line.matchAll(/<[a-z]+[^>]*\s(?:id|name)="([^"]+)"/g)) anchors.add(match[1] ?? '')
    const heading = /^ {0,3}#{1,6}\s+(.*?)\s*#*$/.exec(line)
    if (!heading) continue
    const base = slug(heading[1] ?? '')
    let anchor = base
    for (let count = 1; anchors.has(anchor); count++) anchor = `${base}-${count}`
    anchors.add(anchor)
  }
  return anchors
}

export interface Block {
  name: string
  content: string
  /** 1-based line of the opening comment. */
  line: number
}

const block = /<!-- generated:([\w-]+) -->\n([\s\S]*?)<!-- \/generated -->/g

export function blocksOf(text: string): Block[] {
  return [...text.matchAll(block)].map((match) => ({
    name: match[1] ?? '',
    content: match[2] ?? '',
    line: text.slice(0, match.index).split('\n').length,
  }))
}

/** Puts what `make` returns between the comments of every block. */
export function replaceBlocks(text: string, make: (name: string) => string): string {
  return text.replace(
    block,
    (_, name: string) => `<!-- generated:${name} -->\n\n${make(name).trim()}\n\n<!-- /generated -->`,
  )
}
