export { runExample, startExample, type Ended, type Running } from './run-example.ts'
export { realBrokers, runOn, startOwn, type OwnBroker, type RealBroker } from './own-broker.ts'
