/** Bytes that one turn of the loop takes, and so the number of tables. */
const STEP = 16

/** Tables of CRC-32C (Castagnoli), for 16 bytes at a time ("slicing by 16", after Kounavis and Berry, 2005): the one for the last byte comes first. */
const TABLE = new Int32Array(STEP * 256)
for (let n = 0; n < 256; n++) {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  TABLE[n] = c
}
for (let n = 256; n < TABLE.length; n++) {
  const before = TABLE[n - 256]!
  TABLE[n] = (before >>> 8) ^ TABLE[before & 255]!
}

/** CRC-32C of a part of a buffer, as a signed 32-bit number. */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let c = -1
  let i = from
  for (; i + STEP <= to; i += STEP) {
    const w0 = c ^ view.getInt32(i, true)
    const w1 = view.getInt32(i + 4, true)
    const w2 = view.getInt32(i + 8, true)
    const w3 = view.getInt32(i + 12, true)
    c =
      TABLE[0xf00 + (w0 & 255)]! ^
      TABLE[0xe00 + ((w0 >>> 8) & 255)]! ^
      TABLE[0xd00 + ((w0 >>> 16) & 255)]! ^
      TABLE[0xc00 + (w0 >>> 24)]! ^
      TABLE[0xb00 + (w1 & 255)]! ^
      TABLE[0xa00 + ((w1 >>> 8) & 255)]! ^
      TABLE[0x900 + ((w1 >>> 16) & 255)]! ^
      TABLE[0x800 + (w1 >>> 24)]! ^
      TABLE[0x700 + (w2 & 255)]! ^
      TABLE[0x600 + ((w2 >>> 8) & 255)]! ^
      TABLE[0x500 + ((w2 >>> 16) & 255)]! ^
      TABLE[0x400 + (w2 >>> 24)]! ^
      TABLE[0x300 + (w3 & 255)]! ^
      TABLE[0x200 + ((w3 >>> 8) & 255)]! ^
      TABLE[0x100 + ((w3 >>> 16) & 255)]! ^
      TABLE[w3 >>> 24]!
  }
  for (; i < to; i++) c = (c >>> 8) ^ TABLE[(c ^ bytes[i]!) & 255]!
  return ~c
}
