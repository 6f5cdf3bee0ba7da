// What core itself puts among the headers of a message, and takes out again.

/** The ttl as it was sent, in ms: a redriven message starts it anew. */
export const TTL_HEADER = 'mq-ttl'

/** Says that a `traceparent` was made from `traceId` and `spanId`, and is no header of the user's. */
export const TRACE_MARK = 'mq-trace'
