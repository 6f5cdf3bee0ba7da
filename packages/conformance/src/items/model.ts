import fc from 'fast-check'
import { types } from 'node:util'
import type { TestContext } from '../context.ts'
import { group } from '../item.ts'
import { commands } from '../model/commands.ts'
import { Pace } from '../model/pace.ts'
import { World } from '../model/world.ts'

/** More than the first are left out where they take long. */
const RUNS = { least: 3, most: 12 }
const MOST_COMMANDS = 100

/** Repeats one run of commands exactly: `seed,path,replayPath`, as a failure prints it. */
const REPLAY_VARIABLE = 'MQ_MODEL_REPLAY'

interface Replay {
  readonly seed: number
  readonly path: string
  readonly replayPath: string
}

function replayOf(text: string): Replay {
  const [seed, path, replayPath] = text.split(',')
  if (!/^-?\d+$/.test(seed ?? '') || path === undefined || replayPath === undefined)
    throw new Error(`${REPLAY_VARIABLE} is ${JSON.stringify(text)}, and should be as a failure printed it`)
  return { seed: Number(seed), path, replayPath }
}

async function play(t: TestContext, replay: Replay | null): Promise<void> {
  const seed = replay?.seed ?? t.harness.seed ?? Math.floor(Math.random() * 2 ** 31)
  const endOfRuns = t.now() + t.patienceMs / 6
  const pace = new Pace(t.patienceMs)
  let runs = 0
  let stopAt = Infinity
  let found = ''
  const property = fc.asyncProperty(commands(MOST_COMMANDS, replay?.replayPath ?? null), async (list) => {
    const shrinking = stopAt !== Infinity
    // Time is up: what has been found so far is reported.
    if (shrinking ? t.now() > stopAt : ++runs > RUNS.least && t.now() > endOfRuns) return
    const world = new World(t, pace, shrinking)
    try {
      await fc.asyncModelRun(async () => {
        await world.start()
        return { model: { world }, real: world }
      }, list)
      await world.finish()
    } catch (error) {
      const kind = kindOf(error)
      // A shorter way to another failure, perhaps of haste, is none to this one.
      if (shrinking && kind !== found) return
      found = kind
      if (!shrinking) stopAt = t.now() + 2 * t.patienceMs
      throw error
    } finally {
      await world.end()
    }
  })
  const run = await fc.check(property, {
    seed,
    numRuns: RUNS.most,
    unbiased: true,
    ...(replay === null ? {} : { path: replay.path, endOnFailure: true }),
  })
  if (!run.failed) return
  const error = run.errorInstance
  const text = textOf(error)
  const steps = stepsOf(fc.stringify(run.counterexample?.[0]))
  throw new Error(
    `${text}\nafter: ${steps.text}\n` +
      `once more: ${REPLAY_VARIABLE}='${run.seed},${run.counterexamplePath ?? ''},${steps.replayPath}' (shrunk ${run.numShrinks} times)`,
    { cause: error },
  )
}

function textOf(error: unknown): string {
  return types.isNativeError(error) ? error.message : String(error)
}

/** What went wrong, whichever messages it befell. */
function kindOf(error: unknown): string {
  return textOf(error)
    .replace(/#\d+(, #\d+)*/g, '#')
    .replace(/-?\d+/g, 'n')
}

/** fast-check writes commands as `a,b /*replayPath="…"* /`. */
function stepsOf(commands: string): { readonly text: string; readonly replayPath: string } {
  const [, list = commands, replayPath = ''] = /^(.*?)\s*\/\*replayPath="(.*)"\*\/$/s.exec(commands) ?? []
  return { text: list.replaceAll(',', ', '), replayPath }
}

export const model = group('model', (item) => {
  item(
    'random',
    'random commands do what a small model says, crashes and cut connections among them',
    (t) => {
      const replay = process.env[REPLAY_VARIABLE]
      return play(t, replay === undefined || replay === '' ? null : replayOf(replay))
    },
    { slowness: 3 },
  )
})
