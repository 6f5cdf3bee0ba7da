import { isMainThread } from 'node:worker_threads'

// Loaded before a thread's own program, in the way that its query says.
if (!isMainThread) {
  if (import.meta.url.endsWith('?throw')) throw new Error('the preload is broken')
  process.exit(0)
}
