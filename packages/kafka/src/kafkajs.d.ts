/** Parts of kafkajs 2.2.4 that have no types of their own. Only `client.ts` uses them, and tests that come between it and a broker. */
declare module 'kafkajs/src/network/connection.js' {
  const Connection: unknown
  export default Connection
}
declare module 'kafkajs/src/network/requestQueue/index.js' {
  const RequestQueue: unknown
  export default RequestQueue
}
declare module 'kafkajs/src/network/socketFactory.js' {
  const socketFactory: unknown
  export default socketFactory
}
declare module 'kafkajs/src/protocol/requests/index.js' {
  const requests: unknown
  export default requests
}
declare module 'kafkajs/src/protocol/requests/apiKeys.js' {
  const keys: unknown
  export default keys
}
declare module 'kafkajs/src/protocol/error.js' {
  const errors: unknown
  export default errors
}
declare module 'lz4js'
declare module 'snappyjs'
