import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { locateTools } from '@mq/brokers'
import { chromium, type Browser, type Page } from 'playwright-core'
import { run } from '../lib/run.ts'
import { root } from '../lib/workspace.ts'

/** For building the site, and for installing a browser. */
const BUILD_MS = 300_000
/** A browser on a busy machine takes its time. */
const PAGE_MS = 90_000

let site: string
let browser: Browser

beforeAll(async () => {
  site = mkdtempSync(join(tmpdir(), 'mq-site-'))
  const script = ['--conditions=@mq/source', '--import', 'tsx', 'scripts/build-docs.ts', site]
  const { code, output } = await run(process.execPath, script, { cwd: root })
  if (code !== 0) throw new Error(output)
  const { chromium: executablePath } = await locateTools({
    label: 'Chromium',
    tools: ['chromium'],
    folders: [],
    debianPackages: ['chromium'],
  })
  // Root has no sandbox of its own, and what is shown is ours.
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
}, BUILD_MS)

afterAll(async () => {
  await browser?.close()
  rmSync(site, { recursive: true, force: true })
})

/** A page without a network, and whatever it complained of. */
async function open(path: string): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ offline: true })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('requestfailed', (request) => {
    // Browsers refuse drawings from another file; the site then draws its icons itself.
    if (!request.url().endsWith('/assets/icons.svg')) complaints.push(request.url())
  })
  await page.goto(pathToFileURL(join(site, path)).href)
  return { page, complaints }
}

async function search(page: Page, text: string): Promise<string[]> {
  await page.keyboard.press('/')
  await page.locator('#tsd-search-input').fill(text)
  const results = page.locator('#tsd-search-results li')
  await results.first().waitFor()
  return results.allInnerTexts()
}

describe('the documentation site', () => {
  jest.setTimeout(PAGE_MS)

  it('opens without a server or a network', async () => {
    const { page, complaints } = await open('index.html')
    await expect(page.title()).resolves.toBe('@mq')
    await expect(page.locator('h1').first().innerText()).resolves.toBe('@mq')
    await page.locator('nav').getByText('About @mq/core', { exact: true }).waitFor()
    await page.locator('nav').getByText('@mq/core/adapter', { exact: true }).waitFor()
    expect(complaints).toEqual([])
  })

  it('finds a class by its name, and opens it', async () => {
    const { page, complaints } = await open('index.html')
    const results = await search(page, 'MessageQueueManager')
    expect(results[0]).toContain('MessageQueueManager')
    await page.locator('#tsd-search-results li a').first().click()
    await page.waitForURL(/MessageQueueManager\.html/)
    await expect(page.locator('h1').first().innerText()).resolves.toContain('MessageQueueManager')
    expect(complaints).toEqual([])
  })

  it('finds a document by what it says', async () => {
    const { page } = await open('index.html')
    const results = await search(page, 'Troubleshooting')
    expect(results.some((text) => text.includes('Troubleshooting'))).toBe(true)
  })

  it('shows what a setting takes', async () => {
    const { page } = await open('interfaces/_mq_core.HandlerOptions.html')
    await expect(page.getByText('concurrency').first().isVisible()).resolves.toBe(true)
  })

  it('links to nothing that is missing', () => {
    const pages = readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.html'),
    )
    expect(pages.length).toBeGreaterThan(100)
    const missing = pages.flatMap((name) => {
      const from = join(site, name)
      return linksOf(readFileSync(from, 'utf8'))
        .filter((link) => !existsSync(resolve(dirname(from), link)))
        .map((link) => `${name} → ${link}`)
    })
    expect(missing).toEqual([])
  })
})

/** Relative links and sources of a page, without their fragments. */
function linksOf(html: string): string[] {
  return [...html.matchAll(/(?:href|src)="([^"#]+)/g)]
    .map(([, link]) => decodeURIComponent(link as string))
    .filter((link) => !/^[a-z]+:/.test(link))
}
