import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { anchorsOf, linksOf } from './markdown.ts'

const external = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i

function problem(base: string, document: string, target: string): string | undefined {
  if (external.test(target)) return undefined
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? document : resolve(dirname(document), decodeURIComponent(path))
  if (relative(base, file).startsWith('..')) return `${target} leaves the repository`
  if (!existsSync(file)) return `${target} does not exist`
  if (anchor === undefined) return undefined
  if (statSync(file).isDirectory() || !file.endsWith('.md')) return undefined
  return anchorsOf(readFileSync(file, 'utf8')).has(anchor) ? undefined : `${target} has no such heading`
}

/** Relative links of one document that lead nowhere, as `document:line: message`. */
export function linkProblems(base: string, document: string): string[] {
  return linksOf(readFileSync(document, 'utf8')).flatMap(({ target, line }) => {
    const found = problem(base, document, target)
    return found ? [`${document}:${line}: ${found}`] : []
  })
}
