/** The threads' programs lie beside this file, built or, in this repository's own tests, as TypeScript. */
const fromSource = import.meta.url.endsWith('.ts')

export const threadFile = fromSource
  ? new URL('./worker.ts', import.meta.url)
  : new URL('./worker.js', import.meta.url)

/** Loads a module in a thread, and does nothing with it. */
export const loadingFile = fromSource
  ? new URL('./load-module.ts', import.meta.url)
  : new URL('./load-module.js', import.meta.url)

/** Flags that say how modules are found and loaded; threads refuse those that belong to the whole process. */
const SWITCH = /^--(no-)?(experimental-)?(strip-types|transform-types|vm-modules)$/
const LOADING = /^(--import|--require|-r|--loader|--experimental-loader|--conditions|-C)(=|$)/

/** The flags of this process that modules depend on, and in sources a loader, which Node needs for TypeScript below 22.18. */
export function loadingFlags(argv: readonly string[] = process.execArgv): string[] {
  const flags: string[] = []
  for (const [at, flag] of argv.entries()) {
    const match = LOADING.exec(flag)
    if (match === null && !SWITCH.test(flag)) continue
    flags.push(flag)
    const value = argv[at + 1]
    if (match?.[2] === '' && value !== undefined) flags.push(value)
  }
  const loads = flags.some((flag) => /\btsx\b/.test(flag))
  return fromSource && !loads ? [...flags, '--conditions=@mq/source', '--import', 'tsx'] : flags
}

/** The environment without a debugger: a process that nobody knows of would wait for one to attach. */
export function withoutInspector(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const options = env['NODE_OPTIONS']
  if (options === undefined) return env
  const kept = options.split(/\s+/).filter((option) => !option.startsWith('--inspect'))
  return { ...env, NODE_OPTIONS: kept.join(' ') }
}
