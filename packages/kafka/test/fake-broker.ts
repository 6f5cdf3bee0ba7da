import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Writer } from '../src/log/bytes.ts'
import type { BrokerInfo, TopicInfo } from '../src/log/protocol.ts'

const PRODUCE = 0
const METADATA = 3
const FIND_COORDINATOR = 10
const SASL_HANDSHAKE = 17
const API_VERSIONS = 18
const SASL_AUTHENTICATE = 36

/** As much of a broker as a connection needs, and faults that a real one shows too rarely. */
export interface FakeBroker extends BrokerInfo {
  readonly address: string
  /** Whether it answers; else it takes what it is sent, and says nothing. */
  mute: boolean
  /** Whether it answers all that comes with something that no client asked for. */
  blunt: boolean
  /** What it tells of the cluster. */
  nodes: readonly BrokerInfo[]
  topics: readonly TopicInfo[]
  /** How long a session lasts that SASL PLAIN began, in ms; 0: it knows no mechanism. */
  sessionMs: number
  /** Produce requests so far. Each is answered with success, unless it is `mute`. */
  readonly produced: number
  /** Connections that are open now. */
  readonly open: number
  /** Ends every connection. */
  hangUp(): void
  close(): Promise<void>
}

export async function fakeBroker(id = 1): Promise<FakeBroker> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let bytes = Buffer.alloc(0)
    socket.on('data', (data: Buffer) => {
      if (broker.blunt) return void socket.end('what?')
      bytes = Buffer.concat([bytes, data])
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
        const request = bytes.subarray(4, 4 + bytes.readInt32BE(0))
        bytes = bytes.subarray(4 + request.length)
        const apiKey = request.readInt16BE(0)
        if (apiKey === PRODUCE) produced++
        if (broker.mute) continue
        const answer = new Writer()
        const length = answer.hole()
        answer.int32(request.readInt32BE(4))
        ANSWERS[apiKey]?.(answer, broker)
        answer.fill(length, answer.length - 4)
        socket.write(answer.done())
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  let produced = 0
  const broker: FakeBroker = {
    id,
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${port}`,
    mute: false,
    blunt: false,
    sessionMs: 0,
    nodes: [{ id, host: '127.0.0.1', port }],
    topics: [],
    get produced() {
      return produced
    },
    get open() {
      return sockets.size
    },
    hangUp() {
      for (const socket of sockets) socket.destroy()
    },
    close() {
      broker.hangUp()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return broker
}

const ANSWERS: Readonly<Record<number, (answer: Writer, broker: FakeBroker) => void>> = {
  [API_VERSIONS](answer) {
    answer.int16(0).int32(5)
    for (const [key, most] of [
      [PRODUCE, 7],
      [METADATA, 12],
      [SASL_HANDSHAKE, 1],
      [API_VERSIONS, 2],
      [SASL_AUTHENTICATE, 1],
    ] as const)
      answer.int16(key).int16(0).int16(most)
    answer.int32(0)
  },
  [METADATA](answer, { nodes, topics, id }) {
    const none = 0
    answer
      .int8(none)
      .int32(0)
      .uvarint(nodes.length + 1)
    for (const node of nodes)
      answer.int32(node.id).compactString(node.host).int32(node.port).uvarint(0).int8(none)
    answer
      .uvarint(0)
      .int32(id)
      .uvarint(topics.length + 1)
    for (const { name, error, leaders } of topics) {
      answer
        .int16(error)
        .compactString(name)
        .raw(Buffer.alloc(16))
        .int8(0)
        .uvarint(leaders.length + 1)
      leaders.forEach((leader, partition) =>
        answer
          .int16(0)
          .int32(partition)
          .int32(leader)
          .int32(0)
          .uvarint(2)
          .int32(leader)
          .uvarint(1)
          .uvarint(1)
          .int8(none),
      )
      answer.int32(0).int8(none)
    }
    answer.int8(none)
  },
  /** It coordinates every group. */
  [FIND_COORDINATOR]: (answer, { id, host, port }) =>
    void answer.int32(0).int16(0).string(null).int32(id).string(host).int32(port),
  [SASL_HANDSHAKE]: (answer, { sessionMs }) =>
    void (sessionMs === 0 ? answer.int16(33).int32(0) : answer.int16(0).int32(1).string('PLAIN')),
  /** Whoever comes is whom it says. */
  [SASL_AUTHENTICATE]: (answer, { sessionMs }) => void answer.int16(0).string(null).int32(0).int64(sessionMs),
  /** Of one partition of the first topic. */
  [PRODUCE](answer, { topics }) {
    answer.int32(1).string(topics[0]?.name ?? '')
    answer.int32(1).int32(0).int16(0).int64(0).int64(-1).int64(0).int32(0)
  },
}
