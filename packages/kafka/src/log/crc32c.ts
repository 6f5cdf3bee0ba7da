/** Tables of CRC-32C (Castagnoli), for eight bytes at a time. */
const TABLES = Array.from({ length: 8 }, () => new Int32Array(256))
const FIRST = TABLES[0] as Int32Array
for (let n = 0; n < 256; n++) {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  FIRST[n] = c
}
for (let t = 1; t < 8; t++) {
  const table = TABLES[t] as Int32Array
  const before = TABLES[t - 1] as Int32Array
  for (let n = 0; n < 256; n++)
    table[n] = ((before[n] as number) >>> 8) ^ (FIRST[(before[n] as number) & 255] as number)
}
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as unknown as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
]

/** CRC-32C of a part of a buffer, as a signed 32-bit number. */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  let c = -1
  let i = from
  for (; i + 8 <= to; i += 8) {
    const low = c ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
    c =
      T7[low & 255]! ^
      T6[(low >>> 8) & 255]! ^
      T5[(low >>> 16) & 255]! ^
      T4[low >>> 24]! ^
      T3[bytes[i + 4]!]! ^
      T2[bytes[i + 5]!]! ^
      T1[bytes[i + 6]!]! ^
      T0[bytes[i + 7]!]!
  }
  for (; i < to; i++) c = (c >>> 8) ^ T0[(c ^ bytes[i]!) & 255]!
  return ~c
}
