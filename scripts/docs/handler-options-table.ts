import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from '../lib/workspace.ts'

const file = 'packages/core/src/consume/handler.ts'

/** The handler options, from the docstrings that an editor shows. */
export function handlerOptionsTable(): string {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(root, file), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  )
  const members = (name: string): readonly ts.TypeElement[] =>
    source.statements.find(
      (one): one is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(one) && one.name.text === name,
    )?.members ?? []
  const rows = members('HandlerOptions').flatMap((option) => {
    const name = option.name?.getText() ?? ''
    if (name !== 'retry') return [row(name, option)]
    return members('RetryOptions').map((part) => row(`retry.${part.name?.getText() ?? ''}`, part))
  })
  if (rows.length === 0) throw new Error(`${file} declares no HandlerOptions`)
  return ['| option | what |', '| --- | --- |', ...rows].join('\n')
}

function row(name: string, member: ts.TypeElement): string {
  const [comment] = ts.getJSDocCommentsAndTags(member)
  const text = ts.getTextOfJSDocComment(comment?.comment)
  if (!text) throw new Error(`${file}: the option ${name} has no docstring`)
  return `| \`${name}\` | ${text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ')} |`
}
