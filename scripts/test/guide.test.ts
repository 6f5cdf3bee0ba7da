import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import * as core from '@mq/core'
import { fencesOf } from '../docs/markdown.ts'
import { root } from '../lib/workspace.ts'

const fences = fencesOf(readFileSync(join(root, 'docs/guide.md'), 'utf8'))
const code = fences.map((fence) => fence.code).join('\n')

/** What a class has of its own. */
function methodsOf({ prototype }: { prototype: object }): string[] {
  return Object.getOwnPropertyNames(prototype).filter(
    (name) =>
      name !== 'constructor' &&
      !(name in EventEmitter.prototype) &&
      typeof valueOf(prototype, name) === 'function',
  )
}

function valueOf(prototype: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(prototype, name)?.value
}

describe('the guide shows', () => {
  it.each([...methodsOf(core.MessageQueue), ...methodsOf(core.MessageQueueManager)])(
    '%s by example',
    (name) => {
      expect(code).toMatch(new RegExp(`\\.${name}(<[^>]*>)?\\(`))
    },
  )

  it.each([
    ...Object.keys(core.MessageQueueFactory),
    ...['defineQueue', 'defineTopic', 'subscription', 'messageHandler', 'MessageMiddleware', 'RejectError'],
    ...['initMessageQueueManager', 'getMessageQueueManager', 'shutdownMessageQueueManager'],
  ])('%s by example', (name) => {
    expect(code).toContain(name)
  })
})
