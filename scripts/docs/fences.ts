/**
 * Compiles the TypeScript fences of all documents in two programs, with `@mq/*` resolved to the sources.
 *
 * - ```ts                  a module of its own: it must import whatever it uses
 * - ```ts file=adapter.ts  the same under a name, so that other fences of the document can import './adapter.ts'
 * - ```ts fragment         a part of a program: the names of `preamble` exist
 */
import { basename, dirname, join } from 'node:path'
import ts from 'typescript'
import { root, sourceEntries } from '../lib/workspace.ts'
import type { Fence } from './markdown.ts'

export interface DocumentFence extends Fence {
  /** Absolute path of the document. */
  document: string
}

/** What a `fragment` may use without importing it. Documented in CONTRIBUTING.md. */
const preamble = `
import type * as core from '@mq/core'
declare global {
  const queue: core.MessageQueue
  const message: core.Message
  const config: core.MessageQueueConfig
  const context: core.HandlerContext
}
`

const languages = new Set(['ts', 'typescript', 'js', 'javascript', 'mjs'])

function isCode(fence: Fence): boolean {
  return languages.has(fence.language)
}

function virtualPath(fence: DocumentFence): string {
  const file = fence.words.find((word) => word.startsWith('file='))?.slice('file='.length)
  const document = basename(fence.document, '.md')
  // Fences of one document share a folder, which also finds the document's own node_modules.
  const folder = join(dirname(fence.document), `__${document}__`)
  return join(folder, file ?? `line-${fence.line}.ts`)
}

function options(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)) as {
    config: unknown
  }
  const base = ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, root).options
  const paths = Object.fromEntries([...sourceEntries()].map(([name, source]) => [name, [source]]))
  return {
    ...base,
    noEmit: true,
    paths,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    // A reader pastes a fence into a project whose settings may be looser; this one is about taste.
    noPropertyAccessFromIndexSignature: false,
  }
}

function compile(fences: readonly DocumentFence[], extra: ReadonlyMap<string, string>): string[] {
  if (fences.length === 0) return []
  const byPath = new Map(fences.map((fence) => [virtualPath(fence), fence]))
  const text = (path: string): string | undefined => {
    const fence = byPath.get(path)
    // `export {}` makes a module of a fence without imports; appended, it moves no line.
    return fence ? `${fence.code}\nexport {}\n` : extra.get(path)
  }
  const host = ts.createCompilerHost(options())
  const disk = ts.createCompilerHost(options())
  const folders = new Set([...byPath.keys()].map((path) => dirname(path)))
  host.readFile = (path) => text(path) ?? disk.readFile(path)
  host.fileExists = (path) => text(path) !== undefined || disk.fileExists(path)
  host.directoryExists = (path) => folders.has(path) || ts.sys.directoryExists(path)
  host.getSourceFile = (path, language, onError, fresh) => {
    const virtual = text(path)
    return virtual === undefined
      ? disk.getSourceFile(path, language, onError, fresh)
      : ts.createSourceFile(path, virtual, language, true)
  }
  const program = ts.createProgram([...byPath.keys(), ...extra.keys()], options(), host)
  const problems: string[] = []
  for (const path of [...byPath.keys(), ...extra.keys()]) {
    const source = program.getSourceFile(path)
    if (!source) continue
    for (const found of [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]) {
      const { line } = source.getLineAndCharacterOfPosition(found.start ?? 0)
      const fence = byPath.get(path)
      const place = fence ? `${fence.document}:${fence.line + line}` : path
      problems.push(`${place}: ${ts.flattenDiagnosticMessageText(found.messageText, '\n')}`)
    }
  }
  return problems
}

/** Compile errors of the fences, as `document:line: message`; JSON fences must parse. */
export function fenceProblems(fences: readonly DocumentFence[]): string[] {
  const code = fences.filter(isCode)
  const fragments = code.filter((fence) => fence.words.includes('fragment'))
  const complete = code.filter((fence) => !fence.words.includes('fragment'))
  const problems = [
    ...compile(complete, new Map()),
    ...compile(fragments, new Map([[join(root, 'scripts/docs/__preamble.ts'), preamble]])),
  ]
  for (const { document, line, code: text } of fences.filter(({ language }) => language === 'json')) {
    try {
      JSON.parse(text)
    } catch (error) {
      problems.push(`${document}:${line}: ${(error as Error).message}`)
    }
  }
  return problems
}
