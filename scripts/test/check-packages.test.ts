import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { metadataProblems } from '../check-packages.ts'
import { nextVersion } from '../check-releases.ts'
import { adapterNames, publishedPackages, sourceEntries, workspacePackages } from '../lib/workspace.ts'

describe('package metadata', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mq-meta-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  const manifest = {
    name: '@mq/x',
    version: '1.0.0',
    description: 'x',
    license: 'MIT',
    engines: { node: '>=20.19' },
  }
  const complete = (): void => {
    writeFileSync(join(folder, 'README.md'), '# @mq/x\n')
    writeFileSync(join(folder, 'LICENSE'), 'MIT')
    writeFileSync(join(folder, 'CHANGELOG.md'), '# @mq/x\n\n## 1.0.0\n')
  }

  it('is fine with README, LICENSE, CHANGELOG and the fields', () => {
    complete()
    expect(metadataProblems({ directory: 'x', folder, manifest }, 'MIT')).toEqual([])
  })

  it('names everything that is missing at once', () => {
    expect(
      metadataProblems({ directory: 'x', folder, manifest: { name: '@mq/x', version: '1.0.0' } }, 'MIT'),
    ).toHaveLength(6)
  })

  it('refuses core as a dependency', () => {
    complete()
    const wrong = { ...manifest, dependencies: { '@mq/core': 'workspace:^' } }
    expect(metadataProblems({ directory: 'x', folder, manifest: wrong }, 'MIT')).toEqual([
      '@mq/x: @mq/core must be a peer: two copies break brand checks',
    ])
  })
})

describe('the workspace', () => {
  it('is picked up from the folders', () => {
    const names = workspacePackages().map(({ manifest }) => manifest.name)
    expect(names).toEqual(expect.arrayContaining(['@mq/core', '@mq/brokers', '@mq/example-quickstart']))
    const published = publishedPackages().map(({ manifest }) => manifest.name)
    expect(published).toEqual(expect.arrayContaining(['@mq/core', '@mq/redis', '@mq/conformance']))
    expect(published).not.toContain('@mq/brokers')
    expect(adapterNames()).not.toContain('core')
    expect(sourceEntries().get('@mq/core/adapter')).toMatch(/packages\/core\/src\/adapter\/index\.ts$/)
  })
})

describe('the next version', () => {
  it.each([
    ['1.2.3', 'major', '2.0.0'],
    ['1.2.3', 'minor', '1.3.0'],
    ['1.2.3', 'patch', '1.2.4'],
  ] as const)('of %s after a %s is %s', (current, bump, next) => {
    expect(nextVersion(current, bump)).toBe(next)
  })
})
