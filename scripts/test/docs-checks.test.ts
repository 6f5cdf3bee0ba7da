import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { fenceProblems } from '../docs/fences.ts'
import { linkProblems } from '../docs/links.ts'
import { fencesOf } from '../docs/markdown.ts'
import { root } from '../lib/workspace.ts'

/** The problems of a document that would lie in the repository's root. */
function compile(text: string): string[] {
  const document = join(root, 'guide.md')
  return fenceProblems(fencesOf(text).map((fence) => ({ ...fence, document }))).map((problem) =>
    problem.replace(`${root}/`, ''),
  )
}

describe('fences', () => {
  it('compile as modules, with top-level await', () => {
    expect(
      compile("```ts\nimport { join } from 'node:path'\nawait Promise.resolve(join('a', 'b'))\n```\n"),
    ).toEqual([])
  })

  it('are reported at their line in the document', () => {
    expect(compile('# Guide\n\n```ts\nconst a = 1\nconst b: string = a\n```\n')).toEqual([
      "guide.md:5: Type 'number' is not assignable to type 'string'.",
    ])
  })

  it('may import each other by file name', () => {
    const good =
      "```ts file=a.ts\nexport const a = 1\n```\n\n```ts\nimport { a } from './a.ts'\nconst b: number = a\n```\n"
    expect(compile(good)).toEqual([])
    expect(compile(good.replace('b: number', 'b: string'))).toHaveLength(1)
  })

  it('refuse JSON that does not parse', () => {
    expect(compile('```json\n{ "a": 1 }\n```\n')).toEqual([])
    expect(compile('```json\n{ a: 1 }\n```\n')).toHaveLength(1)
  })
})

describe('links', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mq-links-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  it('must lead to a file and a heading inside the repository', () => {
    writeFileSync(join(folder, 'b.md'), '# There\n')
    writeFileSync(
      join(folder, 'a.md'),
      '# Here\n[1](b.md#there) [2](#here) [3](https://example.org/x)\n[4](c.md)\n[5](b.md#gone)\n[6](../x.md)\n',
    )
    expect(linkProblems(folder, join(folder, 'a.md'))).toEqual([
      `${folder}/a.md:3: c.md does not exist`,
      `${folder}/a.md:4: b.md#gone has no such heading`,
      `${folder}/a.md:5: ../x.md leaves the repository`,
    ])
  })
})
