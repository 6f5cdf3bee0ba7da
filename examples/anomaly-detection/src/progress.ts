import { SingleBar } from 'cli-progress'

export interface Progress {
  update(done: number): void
  stop(): void
}

/** A bar on a terminal; elsewhere (a file, a pipe, CI) a line for every tenth. */
export function showProgress(
  label: string,
  total: number,
  stream: NodeJS.WriteStream = process.stdout,
): Progress {
  if (!stream.isTTY) return lines(label, total, stream)
  const bar = new SingleBar({
    format: `${label} {bar} {percentage}% | {value}/{total} | {eta_formatted}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    stream,
  })
  bar.start(total, 0)
  return { update: (done) => bar.update(done), stop: () => bar.stop() }
}

function lines(label: string, total: number, stream: NodeJS.WritableStream): Progress {
  let tenths = 0
  return {
    update(done) {
      const reached = Math.floor((done * 10) / total)
      if (reached <= tenths) return
      tenths = reached
      stream.write(`${label} ${tenths * 10}% (${done}/${total})\n`)
    },
    stop: () => undefined,
  }
}
