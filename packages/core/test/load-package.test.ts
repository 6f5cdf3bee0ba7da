import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ErrorCode } from '../src/error-codes.ts'
import { importPackage, installCommand, locatePackage } from '../src/load-package.ts'

const NAME = '@mq-load-test/adapter'
const entry = process.argv[1]
const cwd = process.cwd()
let folder: string

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'mq-load-')))
})

afterEach(() => {
  process.chdir(cwd)
  if (entry === undefined) process.argv.splice(1, 1)
  else process.argv[1] = entry
  rmSync(folder, { recursive: true, force: true })
})

/** Installs a package into a folder below the temporary one; answers that folder. */
function install(
  below: string,
  source = `export const createAdapter = () => '${below}'`,
  name = NAME,
): string {
  const target = join(folder, below, 'node_modules', name)
  mkdirSync(target, { recursive: true })
  const manifest = {
    name,
    type: 'module',
    exports: { '.': { types: './index.d.ts', default: './index.js' } },
  }
  writeFileSync(join(target, 'package.json'), JSON.stringify(manifest))
  writeFileSync(join(target, 'index.js'), source)
  return join(folder, below)
}

const startedAs = (file: string) => {
  process.argv[1] = file
}

const answerOf = async () => ((await importPackage(NAME, 'This test'))['createAdapter'] as () => unknown)()

describe('locatePackage', () => {
  it('finds what this package itself can see', () => {
    expect(locatePackage('typebox')).toMatch(/typebox/)
  })

  it('answers null for what is nowhere', () => {
    expect(locatePackage(NAME)).toBeNull()
  })

  it('takes the first place that has it', () => {
    const [one, two] = [install('one'), install('two')].map((path) => pathToFileURL(join(path, 'x.js')).href)
    const nowhere = pathToFileURL(join(folder, 'nowhere', 'x.js')).href
    expect(locatePackage(NAME, [nowhere, two as string, one as string])).toBe(
      join(folder, 'two', 'node_modules', NAME, 'index.js'),
    )
  })
})

describe('importPackage', () => {
  it("loads from the program's entry file, before the working directory", async () => {
    startedAs(join(install('program'), 'main.js'))
    process.chdir(install('elsewhere'))
    expect(await answerOf()).toBe('program')
  })

  it('loads from where a linked entry file really is', async () => {
    const program = install('linked')
    writeFileSync(join(program, 'main.js'), '')
    symlinkSync(join(program, 'main.js'), join(folder, 'command'))
    startedAs(join(folder, 'command'))
    expect(await answerOf()).toBe('linked')
  })

  it('loads from the working directory, also when there is no entry file', async () => {
    process.chdir(install('working'))
    process.argv.splice(1, 1)
    expect(await answerOf()).toBe('working')
    process.argv.splice(1, 0, '')
  })

  it('rejects with the command that installs what is missing', async () => {
    process.chdir(folder)
    const error = await importPackage(NAME, 'The broker x').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: 'ConfigurationError', code: ErrorCode.PACKAGE_MISSING })
    expect((error as Error).message).toBe(
      `The broker x needs the package ${NAME}, which is not installed: ${installCommand(NAME)}`,
    )
  })

  it('says so when a package is there and does not load', async () => {
    process.chdir(install('broken', "throw new Error('its client is missing')"))
    await expect(importPackage(NAME, 'The broker x')).rejects.toMatchObject({
      code: ErrorCode.PACKAGE_MISSING,
      message: expect.stringMatching(/does not load \(its client is missing\)/),
      cause: expect.objectContaining({ message: 'its client is missing' }),
    })
  })
})

describe('installCommand', () => {
  it.each([
    ['npm/10.8.2 node/v20.20.2 linux x64', 'npm install @mq/redis'],
    ['pnpm/12.21.0 npm/? node/v20.20.2', 'pnpm add @mq/redis'],
    ['yarn/4.5.0 npm/? node/v20.20.2', 'yarn add @mq/redis'],
    ['bun/1.2.0', 'bun add @mq/redis'],
    ['something/1.0', 'npm install @mq/redis'],
  ])('goes by the package manager that runs: %s', (agent, command) => {
    expect(installCommand('@mq/redis', { npm_config_user_agent: agent }, folder)).toBe(command)
  })

  it.each([
    ['pnpm-lock.yaml', 'pnpm add @mq/redis'],
    ['yarn.lock', 'yarn add @mq/redis'],
    ['bun.lock', 'bun add @mq/redis'],
    ['package-lock.json', 'npm install @mq/redis'],
  ])('else by the lockfile: %s', (lockfile, command) => {
    writeFileSync(join(folder, lockfile), '')
    expect(installCommand('@mq/redis', {}, folder)).toBe(command)
  })
})
