import type { Socket } from 'node:net'
import { allowance, type Direction, type Faults } from './faults.ts'

export interface Pipe {
  /** The faults changed: look again. */
  wake(): void
  /** Drops what waits and stops its timer. */
  close(): void
}

// Beyond this, reading stops and the sender's kernel feels it, as it would with a slow peer.
const maximumQueued = 256 * 1024

interface Item {
  /** Bytes to pass on, or what happened to the sender's side. */
  what: Buffer | 'end' | 'reset'
  /** Not before this time, in milliseconds. */
  due: number
}

/**
 * Moves bytes from one socket to another under the faults. Ends and resets travel in the queue too: a black hole
 * swallows them as it swallows data, and hands everything over when it heals, as retransmission would.
 */
export function pipe(
  source: Socket,
  sink: Socket,
  direction: Direction,
  faults: Faults,
  cutAll: () => void,
): Pipe {
  const queue: Item[] = []
  let queued = 0
  let timer: NodeJS.Timeout | undefined
  let waiting = false
  let ended = false
  let closed = false

  source.on('data', (chunk: Buffer) => {
    queued += chunk.length
    push(chunk)
  })
  source.on('end', () => {
    ended = true
    push('end')
  })
  source.on('error', () => undefined)
  source.on('close', (hadError) => {
    if (hadError || !ended) push('reset')
  })
  sink.on('drain', () => {
    waiting = false
    pump()
  })
  if (faults.held[direction]) source.pause()

  function push(what: Item['what']): void {
    queue.push({ what, due: Date.now() + faults.delayMs })
    pump()
  }

  function pump(): void {
    flow()
    while (!closed && timer === undefined && !waiting && !faults.held[direction]) {
      const item = queue[0]
      if (!item) return
      const early = item.due - Date.now()
      if (early > 0) return later(early)
      if (item.what === 'end') {
        queue.shift()
        sink.end()
      } else if (item.what === 'reset') {
        queue.shift()
        if (sink.writableEnded) sink.destroy()
        else sink.resetAndDestroy()
      } else passBytes(item, item.what)
      flow()
    }
  }

  function passBytes(item: Item, chunk: Buffer): void {
    const { bytes, pauseMs, cut } = allowance(chunk.length, faults)
    if (bytes === chunk.length) queue.shift()
    else item.what = chunk.subarray(bytes)
    queued -= bytes
    if (faults.remaining !== undefined) faults.remaining -= bytes
    if (bytes > 0 && sink.writable && !sink.write(chunk.subarray(0, bytes))) waiting = true
    if (cut) cutAll()
    else if (pauseMs > 0) later(pauseMs)
  }

  function later(ms: number): void {
    timer = setTimeout(() => {
      timer = undefined
      pump()
    }, ms)
  }

  function flow(): void {
    const stop = faults.held[direction] || queued > maximumQueued
    if (stop !== source.isPaused()) {
      if (stop) source.pause()
      else source.resume()
    }
  }

  return {
    wake: () => {
      // A delay or a rate that was lifted must not hold what it had already stopped.
      if (timer && faults.delayMs === 0 && faults.bytesPerSecond === Infinity) {
        clearTimeout(timer)
        timer = undefined
        for (const item of queue) item.due = 0
      }
      pump()
    },
    close: () => {
      closed = true
      queue.length = 0
      clearTimeout(timer)
    },
  }
}
