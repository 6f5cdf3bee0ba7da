import { arrayAdapter, Server } from '../src/adapter.ts'

const server = new Server()

/** What the suite runs in a process of its own: it cannot reach the arrays of this one. */
export const createAdapter = () => arrayAdapter(server)
