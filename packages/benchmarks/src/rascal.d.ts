/** The part of rascal that the benchmark uses; it brings no types of its own. */
declare module 'rascal' {
  import type { EventEmitter } from 'node:events'

  export type BrokerConfig = object

  export interface Subscription extends EventEmitter {
    on(
      event: 'message',
      listener: (message: unknown, content: unknown, acknowledge: (error?: Error) => void) => void,
    ): this
    on(event: string, listener: (error: Error) => void): this
  }

  export interface RascalBroker extends EventEmitter {
    publish(name: string, content: unknown): Promise<EventEmitter>
    subscribe(name: string): Promise<Subscription>
    shutdown(): Promise<void>
  }

  const rascal: {
    createBrokerAsPromised(config: BrokerConfig): Promise<RascalBroker>
    withDefaultConfig(config: BrokerConfig): BrokerConfig
  }
  export default rascal
}
