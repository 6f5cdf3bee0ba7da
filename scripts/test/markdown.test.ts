import { describe, expect, it } from '@jest/globals'
import { anchorsOf, blocksOf, fencesOf, linksOf, replaceBlocks, slug } from '../docs/markdown.ts'

describe('markdown', () => {
  it('finds fences with their words and first line, inside lists too', () => {
    const text = ['# A', '', '- item', '', '  ```ts fragment file=a.ts', '  const a = 1', '  ```', ''].join(
      '\n',
    )
    expect(fencesOf(text)).toEqual([
      { language: 'ts', words: ['fragment', 'file=a.ts'], code: 'const a = 1\n', line: 6 },
    ])
  })

  it('keeps a shorter fence inside a longer one as text', () => {
    expect(fencesOf('````md\n```ts\nx\n```\n````\n').map(({ language, code }) => [language, code])).toEqual([
      ['md', '```ts\nx\n```\n'],
    ])
  })

  it('finds links, images and definitions, but none in code', () => {
    const text = 'a [b](c.md#d) ![i](i.png "t") `[no](x)`\n\n```\n[no](y)\n```\n[ref]: e.md\n'
    expect(linksOf(text)).toEqual([
      { target: 'c.md#d', line: 1 },
      { target: 'i.png', line: 1 },
      { target: 'e.md', line: 6 },
    ])
  })

  it.each([
    ['Who may import whom?', 'who-may-import-whom'],
    ['`MQ_TIMEOUT`: a deadline', 'mq_timeout-a-deadline'],
    ['A [link](x.md) & more', 'a-link--more'],
  ])('makes the anchor of %s', (heading, anchor) => {
    expect(slug(heading)).toBe(anchor)
  })

  it('numbers repeated headings and takes explicit ids', () => {
    expect([...anchorsOf('# A\n## A\n<a id="own"></a>\n```\n# no\n```\n')]).toEqual(['a', 'a-1', 'own'])
  })

  it('replaces generated blocks by name', () => {
    const text = 'x\n<!-- generated:table -->\nold\n<!-- /generated -->\ny\n'
    expect(blocksOf(text)).toEqual([{ name: 'table', content: 'old\n', line: 2 }])
    expect(replaceBlocks(text, (name) => `new ${name}`)).toBe(
      'x\n<!-- generated:table -->\n\nnew table\n\n<!-- /generated -->\ny\n',
    )
  })
})
