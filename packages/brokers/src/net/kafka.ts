import { ANSWER_MS, exchange } from './tcp.ts'

export interface KafkaMetadata {
  /** Brokers that live, by this broker's knowledge, at the addresses for this listener. */
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[]
  readonly controller: number
}

// Metadata, version 1: every Kafka in use answers it.
const apiKey = 3
const apiVersion = 1

/** Asks a plain-text listener for the cluster's members. */
export function kafkaMetadata(host: string, port: number, timeoutMs = ANSWER_MS): Promise<KafkaMetadata> {
  const client = Buffer.from('brokers')
  const request = Buffer.alloc(10 + client.length + 4)
  request.writeInt16BE(apiKey, 0)
  request.writeInt16BE(apiVersion, 2)
  request.writeInt32BE(1, 4)
  request.writeInt16BE(client.length, 8)
  client.copy(request, 10)
  // No topics.
  request.writeInt32BE(0, 10 + client.length)
  const size = Buffer.alloc(4)
  size.writeInt32BE(request.length)
  return exchange(host, port, Buffer.concat([size, request]), parse, timeoutMs)
}

function parse(received: Buffer): KafkaMetadata | undefined {
  if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return undefined
  let at = 8
  const int32 = (): number => {
    at += 4
    return received.readInt32BE(at - 4)
  }
  const text = (): string => {
    const start = at + 2
    at = start + Math.max(0, received.readInt16BE(at))
    return received.toString('utf8', start, at)
  }
  const brokers = Array.from({ length: int32() }, () => {
    const broker = { id: int32(), host: text(), port: int32() }
    // The rack.
    text()
    return broker
  })
  return { brokers, controller: int32() }
}
