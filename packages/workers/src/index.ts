export { workerHandler, type WorkerHandler, type WorkerHandlerOptions } from './worker-handler.ts'
export type { WorkerContext, WorkerMessage } from './job.ts'
