import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'

interface Request {
  readonly entry: {
    readonly apiKey: number
    readonly apiName: string
    reject(error: unknown): void
  }
}
const { prototype } = RequestQueue as { prototype: { clientId: string; push(request: Request): void } }

/** Every request of a client goes through here, until it is let go: `instead` answers whether it took care of one. */
function intercept(clientId: string, instead: (request: Request, goOn: () => void) => boolean): () => void {
  const { push } = prototype
  prototype.push = function (request) {
    const goOn = (): void => push.call(this, request)
    if (this.clientId !== clientId || !instead(request, goOn)) goOn()
  }
  return () => (prototype.push = push)
}

/** The next such request of this client fails so; by default a produce request, as by a broker that leads no more. */
export function refuseOnce(
  clientId: string,
  apiKey = 0,
  error: Error = Object.assign(new Error('no leader'), { type: 'NOT_LEADER_FOR_PARTITION' }),
): void {
  const end = intercept(clientId, ({ entry }) => {
    if (entry.apiKey !== apiKey) return false
    end()
    entry.reject(error)
    return true
  })
}

/** Requests of that name of this client wait until they are let go; `reached`: one does. */
export function hold(clientId: string, apiName: string): { reached: Promise<void>; letGo: () => void } {
  let reach = (): void => undefined
  const reached = new Promise<void>((resolve) => (reach = resolve))
  const held: (() => void)[] = []
  const end = intercept(clientId, ({ entry }, goOn) => {
    if (entry.apiName !== apiName) return false
    held.push(goOn)
    reach()
    return true
  })
  const letGo = (): void => {
    end()
    for (const goOn of held) goOn()
  }
  return { reached, letGo }
}

/** Counts the requests of that name of this client, until it ends. */
export function counting(
  clientId: string,
  apiName: string,
): { readonly count: () => number; end: () => void } {
  let count = 0
  const end = intercept(clientId, ({ entry }) => {
    if (entry.apiName === apiName) count++
    return false
  })
  return { count: () => count, end }
}
