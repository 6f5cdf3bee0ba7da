import { connect } from 'node:net'
import process from 'node:process'
import { setInterval } from 'node:timers'

// For whoever wants to know how long this process lives.
if (process.env['WATCH_PORT']) connect(Number(process.env['WATCH_PORT']), '127.0.0.1')
setInterval(() => undefined, 1000)
await new Promise(() => undefined)
export default () => 1
