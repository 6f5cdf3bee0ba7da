import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { intoPlace } from '../src/into-place.ts'

describe('intoPlace', () => {
  let home: string
  beforeEach(() => {
    home = mkdtempSync(path.join(tmpdir(), 'mq-place-'))
  })
  afterEach(() => rmSync(home, { recursive: true, force: true }))

  const write = (text: string) => async (folder: string) => {
    writeFileSync(path.join(folder, 'file'), text)
    // Both are at it before either is done.
    await new Promise((resolve) => setImmediate(resolve))
  }

  it('lets two work at once, keeps the first, and leaves nothing else', async () => {
    const target = path.join(home, 'libs')
    await Promise.all(['a', 'b'].map((text) => intoPlace(target, write(text))))
    expect(readFileSync(path.join(target, 'file'), 'utf8')).toMatch(/^[ab]$/)
    expect(readdirSync(home)).toEqual(['libs'])
  })

  it('has no target when the work fails', async () => {
    const failing = async (folder: string): Promise<void> => {
      await write('half')(folder)
      throw Object.assign(new Error('no network'), { code: 'EAI_AGAIN' })
    }
    await expect(intoPlace(path.join(home, 'libs'), failing)).rejects.toThrow('no network')
    expect(readdirSync(home)).toEqual([])
  })
})
